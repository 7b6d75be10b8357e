#include "tfodl/optimize.h"
#include "tfodl/kernels/requantize.h"

namespace tfodl {
#if TFODL_HAS_DSP
TFODL_COLD bool Requantizer::ShiftRight(const FixedPoint& scales, uint32_t count) {
  uint32_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const uint32_t less = SubtractBytes(LoadWord(scales.shifts + i), 0x01010101u);
    if ((less & 0x80808080u) != 0) return false;
  }
  for (; i < count; ++i) {
    if (scales.shifts[i] <= 0) return false;
  }
  return true;
}
#endif

int8_t Requantizer::One(int32_t sum, uint32_t scale) const {
  int32_t y = Scaled(sum, scales_.Multiplier(scale), scales_.shifts[scale], zero_point_);
  if (y < act_min_) y = act_min_;
  if (y > act_max_) y = act_max_;
  return static_cast<int8_t>(y);
}

TFODL_COLD void Requantizer::OneByOne(const FourSums& sums, uint32_t scale, int8_t* y) const {
  y[0] = One(sums.s0, scale);
  y[1] = One(sums.s1, scale + 1);
  y[2] = One(sums.s2, scale + 2);
  y[3] = One(sums.s3, scale + 3);
}

void Requantizer::TwoFours(const int32_t* sums, uint32_t scale, int8_t* first,
                           int8_t* second) const {
#if TFODL_HAS_DSP
  if (shifts_right_) {
    const uint32_t shifts = LoadWord(scales_.shifts + scale);
    const int32_t plus = zero_point_;
    int32_t multiplier = scales_.Multiplier(scale);
    uint32_t a = static_cast<uint32_t>(ScaledByte(sums[0], multiplier, shifts, plus));
    uint32_t b = static_cast<uint32_t>(ScaledByte(sums[4], multiplier, shifts, plus));
    multiplier = scales_.Multiplier(scale + 1);
    a = WithByte<1>(a, ScaledByte(sums[1], multiplier, shifts >> 8, plus));
    b = WithByte<1>(b, ScaledByte(sums[5], multiplier, shifts >> 8, plus));
    multiplier = scales_.Multiplier(scale + 2);
    a = WithByte<2>(a, ScaledByte(sums[2], multiplier, shifts >> 16, plus));
    b = WithByte<2>(b, ScaledByte(sums[6], multiplier, shifts >> 16, plus));
    multiplier = scales_.Multiplier(scale + 3);
    a = WithByte<3>(a, ScaledByte(sums[3], multiplier, shifts >> 24, plus));
    b = WithByte<3>(b, ScaledByte(sums[7], multiplier, shifts >> 24, plus));
    if (is_bounded_) {
      a = Bounded(a);
      b = Bounded(b);
    }
    StoreWord(first, a);
    StoreWord(second, b);
    return;
  }
#endif
  for (uint32_t i = 0; i < 4; ++i) {
    first[i] = One(sums[i], scale + i);
    second[i] = One(sums[4 + i], scale + i);
  }
}

}  // namespace tfodl
