// Consistent overhead byte stuffing (Cheshire and Baker 1999): bytes without zeros, so that a zero
// can end a frame.
#ifndef TFODL_LINK_COBS_H_
#define TFODL_LINK_COBS_H_

#include <stdint.h>

namespace tfodl {

// Room for `bytes` once encoded, without the zero at the end.
constexpr uint32_t CobsRoom(uint32_t bytes) { return bytes + bytes / 254 + 1; }

// Returns the length. `to` has CobsRoom(bytes) and does not overlap `from`.
uint32_t CobsEncode(const uint8_t* from, uint32_t bytes, uint8_t* to);

// In place. Returns the length, or 0 for what no encoder makes.
uint32_t CobsDecode(uint8_t* data, uint32_t bytes);

}  // namespace tfodl

#endif  // TFODL_LINK_COBS_H_
