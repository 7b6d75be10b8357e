#include "tfodl/fixed_point.h"

namespace tfodl {

bool AreScales(const FixedPoint& scales, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (scales.Multiplier(i) < kSmallestMultiplier || scales.shifts[i] < kSmallestShift ||
        scales.shifts[i] > kLargestShift) {
      return false;
    }
  }
  return true;
}

}  // namespace tfodl
