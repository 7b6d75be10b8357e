// What a board says it runs.
#ifndef TFODL_VERSION_H_
#define TFODL_VERSION_H_

namespace tfodl {

constexpr const char* kFirmware = "TfOdl 0.1.0";

}  // namespace tfodl

#endif  // TFODL_VERSION_H_
