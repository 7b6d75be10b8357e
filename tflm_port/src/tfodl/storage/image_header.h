// The 32 bytes in front of a state image (docs/protocol.md).
#ifndef TFODL_STORAGE_IMAGE_HEADER_H_
#define TFODL_STORAGE_IMAGE_HEADER_H_

#include <stdint.h>

namespace tfodl {

constexpr uint32_t kImageHeaderBytes = 32;

struct ImageHeader {
  uint32_t model_id;
  uint32_t sequence;
  uint32_t body_bytes;
  uint32_t body_crc;
};

void WriteImageHeader(const ImageHeader& header, uint8_t bytes[kImageHeaderBytes]);

// False unless the header is whole and of this format.
bool ReadImageHeader(const uint8_t bytes[kImageHeaderBytes], ImageHeader* header);

}  // namespace tfodl

#endif  // TFODL_STORAGE_IMAGE_HEADER_H_
