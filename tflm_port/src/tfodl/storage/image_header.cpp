#include "tfodl/storage/image_header.h"

#include "tfodl/bytes.h"
#include "tfodl/crc.h"

namespace tfodl {
namespace {

constexpr uint32_t kMagic = 0x4C444F54;  // "TODL"
constexpr uint32_t kFormat = 1;
constexpr uint32_t kCheckedBytes = kImageHeaderBytes - 4;

}  // namespace

void WriteImageHeader(const ImageHeader& header, uint8_t bytes[kImageHeaderBytes]) {
  ByteWriter to(bytes);
  to.U32(kMagic);
  to.U16(kFormat);
  to.U16(kImageHeaderBytes);
  to.U32(header.model_id);
  to.U32(header.sequence);
  to.U32(header.body_bytes);
  to.U32(header.body_crc);
  to.U32(0);
  to.U32(Crc32(bytes, kCheckedBytes));
}

bool ReadImageHeader(const uint8_t bytes[kImageHeaderBytes], ImageHeader* header) {
  if (GetU32(bytes) != kMagic || GetU16(bytes + 4) != kFormat ||
      GetU16(bytes + 6) != kImageHeaderBytes ||
      GetU32(bytes + kCheckedBytes) != Crc32(bytes, kCheckedBytes)) {
    return false;
  }
  header->model_id = GetU32(bytes + 8);
  header->sequence = GetU32(bytes + 12);
  header->body_bytes = GetU32(bytes + 16);
  header->body_crc = GetU32(bytes + 20);
  return true;
}

}  // namespace tfodl
