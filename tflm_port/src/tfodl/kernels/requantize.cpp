#include "tfodl/optimize.h"
#include "tfodl/kernels/requantize.h"

namespace tfodl {
namespace {

// sum * multiplier / 2^31, halves up; multiplier >= 2^30.
TFODL_INLINE int32_t DoublingHigh(int32_t sum, int32_t multiplier) {
#if TFODL_HAS_DSP
  // Twice the multiplier is 2^32 too small as an int32, and MultiplyTop adds the missing sum.
  return MultiplyTop(sum, static_cast<int32_t>(static_cast<uint32_t>(multiplier) << 1), sum);
#else
  return static_cast<int32_t>((static_cast<int64_t>(sum) * multiplier + (1 << 30)) >> 31);
#endif
}

TFODL_INLINE int32_t WrappedSum(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}

// sum * multiplier / 2^(31 + shift) + plus, rounded after the multiplication and, with halves away
// from zero, after a shift to the right: MultiplyByQuantizedMultiplier of
// tensorflow/lite/kernels/internal/common.h.
TFODL_INLINE int32_t Scaled(int32_t sum, int32_t multiplier, int32_t shift, int32_t plus) {
  if (shift <= 0) {
    sum = static_cast<int32_t>(static_cast<uint32_t>(sum) << -shift);
    return WrappedSum(DoublingHigh(sum, multiplier), plus);
  }
  int32_t high = DoublingHigh(sum, multiplier);
  high += high >> 31;
#if TFODL_HAS_DSP
  return ShiftRounded(high, shift, plus);
#else
  return (((high >> (shift - 1)) + 1) >> 1) + plus;
#endif
}

#if TFODL_HAS_DSP
// The same within int8, for a shift above 0: that in the lowest byte of `shifts`.
TFODL_INLINE int32_t ScaledByte(int32_t sum, int32_t multiplier, uint32_t shifts, int32_t plus) {
  const int32_t high = DoublingHigh(sum, multiplier);
  return ClipByte(ShiftRounded(high + (high >> 31), static_cast<int32_t>(shifts), plus));
}
#endif

}  // namespace

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
  const int32_t low = static_cast<int8_t>(low_ & 0xffu), high = static_cast<int8_t>(high_ & 0xffu);
  if (y < low) y = low;
  if (y > high) y = high;
  return static_cast<int8_t>(y);
}

void Requantizer::Four(const int32_t* sums, uint32_t scale, int8_t* y) const {
#if TFODL_HAS_DSP
  if (shifts_right_) {
    const uint32_t shifts = LoadWord(scales_.shifts + scale);
    const int32_t plus = zero_point_;
    const int32_t a = ScaledByte(sums[0], scales_.Multiplier(scale), shifts, plus);
    const int32_t b = ScaledByte(sums[1], scales_.Multiplier(scale + 1), shifts >> 8, plus);
    const int32_t c = ScaledByte(sums[2], scales_.Multiplier(scale + 2), shifts >> 16, plus);
    const int32_t d = ScaledByte(sums[3], scales_.Multiplier(scale + 3), shifts >> 24, plus);
    const uint32_t bytes =
        WithByte<3>(WithByte<2>(WithByte<1>(static_cast<uint32_t>(a), b), c), d);
    StoreWord(y, is_bounded_ ? ClampBytes(bytes, low_, high_) : bytes);
    return;
  }
#endif
  for (uint32_t i = 0; i < 4; ++i) y[i] = One(sums[i], scale + i);
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
      a = ClampBytes(a, low_, high_);
      b = ClampBytes(b, low_, high_);
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
