// Scales of forward ops as integers, as they lie behind the options of an op.
#ifndef TFODL_FIXED_POINT_H_
#define TFODL_FIXED_POINT_H_

#include <stdint.h>

#include "tfodl/dsp.h"

namespace tfodl {

constexpr int32_t kSmallestMultiplier = 1 << 30;
constexpr int32_t kSmallestShift = -30;
constexpr int32_t kLargestShift = 31;

// Sums of so many products of int8 and int8 minus int8 stay inside an int32.
constexpr uint32_t kMaxFanIn = 65792;

// Some scales, each multiplier / 2^(31 + shift).
struct FixedPoint {
  const uint8_t* multipliers;  // int32, from kSmallestMultiplier on; unaligned
  const int8_t* shifts;        // to the right, from kSmallestShift to kLargestShift

  TFODL_INLINE int32_t Multiplier(uint32_t i) const {
    return static_cast<int32_t>(LoadWord(multipliers + 4 * i));
  }
};

// Bytes of so many scales: all multipliers, then all shifts.
constexpr uint32_t FixedPointBytes(uint32_t count) { return count * (sizeof(int32_t) + 1); }

inline FixedPoint ReadFixedPoint(const uint8_t* bytes, uint32_t count) {
  return {bytes, reinterpret_cast<const int8_t*>(bytes + count * sizeof(int32_t))};
}

// Whether all of them are in their ranges.
TFODL_NOINLINE bool AreScales(const FixedPoint& scales, uint32_t count);

}  // namespace tfodl

#endif  // TFODL_FIXED_POINT_H_
