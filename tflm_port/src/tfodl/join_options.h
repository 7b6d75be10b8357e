// Options of the ops through which errors of branching models go, as they lie in the .tflite file
// (docs/training-graph.md).
#ifndef TFODL_JOIN_OPTIONS_H_
#define TFODL_JOIN_OPTIONS_H_

#include <stdint.h>

namespace tfodl {

struct AddOptions {
  uint32_t abi_version;
  uint32_t count;
  int32_t act_min, act_max;
};

// A box of a larger map, [out_h, out_w, out_c].
struct CropOptions {
  uint32_t abi_version;
  uint32_t in_h, in_w, in_c;
  uint32_t out_h, out_w, out_c;
  uint32_t top, left, first_c;
};

static_assert(sizeof(AddOptions) == 16, "four words");
static_assert(sizeof(CropOptions) == 40, "ten words");

// They check every field and the exact length: what they accept, the kernels can run.
bool ParseAdd(const uint8_t* blob, uint32_t length, AddOptions* options);
bool ParseCrop(const uint8_t* blob, uint32_t length, CropOptions* options);

}  // namespace tfodl

#endif  // TFODL_JOIN_OPTIONS_H_
