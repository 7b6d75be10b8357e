// The checks that the parsers of all options share.
#ifndef TFODL_OPTION_CHECKS_H_
#define TFODL_OPTION_CHECKS_H_

#include <stdint.h>
#include <string.h>

#include "tfodl/float_math.h"
#include "tfodl/options.h"

namespace tfodl {

// Copies options without arrays behind them out of `blob`, which is only 4-byte aligned. Returns
// false, and leaves `options` alone, unless length and version are those of T.
template <class T>
bool CopyOptions(const uint8_t* blob, uint32_t length, T* options) {
  uint32_t version;
  if (blob == nullptr || length != sizeof *options) return false;
  memcpy(&version, blob, sizeof version);
  if (version != kAbiVersion) return false;
  memcpy(options, blob, sizeof *options);
  return true;
}

// By the bits: infinity and NaN are above all positive numbers, negative ones above those.
inline bool IsPositiveNumber(float value) { return FloatBits(value) - 1 < 0x7f7fffffu; }

inline bool IsInt8(int32_t value) { return value >= -128 && value <= 127; }

// Of a forward op: its zero points, and the bounds of its output.
template <class T>
bool HasInt8Range(const T& options) {
  return IsInt8(options.x_zero_point) && IsInt8(options.y_zero_point) && IsInt8(options.act_min) &&
         IsInt8(options.act_max) && options.act_min <= options.act_max;
}

inline bool IsRangeAroundInt8(int32_t low, int32_t high) {
  return low >= -129 && high <= 128 && low < high;
}

inline bool IsExtent(uint32_t value) { return value >= 1 && value <= kMaxExtent; }

// No more than kMaxElements.
TFODL_NOINLINE bool ProductFits(uint32_t a, uint32_t b, uint32_t c, uint32_t d = 1);

// One axis of a sliding window. Every window covers at least one element of the input.
TFODL_NOINLINE bool IsWindowAxis(uint32_t in, uint32_t out, uint32_t window, uint32_t stride,
                                 uint32_t pad);

}  // namespace tfodl

#endif  // TFODL_OPTION_CHECKS_H_
