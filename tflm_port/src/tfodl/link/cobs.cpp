#include "tfodl/link/cobs.h"

namespace tfodl {

uint32_t CobsEncode(const uint8_t* from, uint32_t bytes, uint8_t* to) {
  uint32_t code_at = 0;
  uint32_t end = 1;
  for (uint32_t i = 0; i < bytes; ++i) {
    if (from[i] != 0) to[end++] = from[i];
    const uint32_t code = end - code_at;
    const bool is_full = code == 255;
    if (from[i] == 0 || (is_full && i + 1 < bytes)) {
      to[code_at] = static_cast<uint8_t>(code);
      code_at = end++;
    }
  }
  to[code_at] = static_cast<uint8_t>(end - code_at);
  return end;
}

uint32_t CobsDecode(uint8_t* data, uint32_t bytes) {
  uint32_t from = 0;
  uint32_t to = 0;
  while (from < bytes) {
    const uint32_t code = data[from++];
    if (code == 0 || code - 1 > bytes - from) return 0;
    for (uint32_t i = 1; i < code; ++i) {
      if (data[from] == 0) return 0;
      data[to++] = data[from++];
    }
    if (code < 255 && from < bytes) data[to++] = 0;
  }
  return to;
}

}  // namespace tfodl
