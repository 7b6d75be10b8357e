// From the sums of an int8 forward op to its outputs, in TensorFlow Lite's fixed-point arithmetic.
#ifndef TFODL_KERNELS_REQUANTIZE_H_
#define TFODL_KERNELS_REQUANTIZE_H_

#include <stdint.h>

#include "tfodl/fixed_point.h"

namespace tfodl {

// A bias, or 0 where there is none.
TFODL_INLINE int32_t BiasAt(const int32_t* bias, uint32_t channel) {
  return bias == nullptr ? 0 : bias[channel];
}

// sum + a * b modulo 2^32, as sums that start at a bias may leave the int32 range.
TFODL_INLINE int32_t AddProduct(int32_t sum, int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(sum) + static_cast<uint32_t>(a * b));
}

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

class Requantizer {
 public:
  // Of an op with the options y_zero_point, act_min and act_max, and so many scales.
  template <class Options>
  Requantizer(const Options& options, const FixedPoint& scales, uint32_t count)
      : scales_(scales),
        zero_point_(options.y_zero_point),
        act_min_(options.act_min),
        act_max_(options.act_max) {
#if TFODL_HAS_DSP
    is_bounded_ = options.act_min > -128 || options.act_max < 127;
    shifts_right_ = ShiftRight(scales, count);
#else
    (void)count;
#endif
  }

  // The output of a sum, the bias included, with one of the scales.
  int8_t One(int32_t sum, uint32_t scale) const;

  // The outputs of four sums with the four scales from this one on.
  TFODL_INLINE void Four(const FourSums& sums, uint32_t scale, int8_t* y) const {
#if TFODL_HAS_DSP
    if (shifts_right_) {
      const uint32_t shifts = LoadWord(scales_.shifts + scale);
      const int32_t plus = zero_point_;
      const int32_t b = ScaledByte(sums.s1, scales_.Multiplier(scale + 1), shifts >> 8, plus);
      const int32_t c = ScaledByte(sums.s2, scales_.Multiplier(scale + 2), shifts >> 16, plus);
      const int32_t d = ScaledByte(sums.s3, scales_.Multiplier(scale + 3), shifts >> 24, plus);
      uint32_t bytes =
          static_cast<uint32_t>(ScaledByte(sums.s0, scales_.Multiplier(scale), shifts, plus));
      bytes = WithByte<3>(WithByte<2>(WithByte<1>(bytes, b), c), d);
      StoreWord(y, is_bounded_ ? Bounded(bytes) : bytes);
      return;
    }
#endif
    const FourSums copy = sums;  // so that the sums themselves stay in registers
    OneByOne(copy, scale, y);
  }

  // The same of two times four sums with these scales.
  void TwoFours(const int32_t* sums, uint32_t scale, int8_t* first, int8_t* second) const;

  // Whether all that there is to do is to scale, with shifts to the right, and to saturate to int8.
  bool IsPlain() const {
#if TFODL_HAS_DSP
    return shifts_right_ && !is_bounded_;
#else
    return false;  // nothing makes use of it
#endif
  }
  const FixedPoint& scales() const { return scales_; }
  int32_t zero_point() const { return zero_point_; }

 private:
  void OneByOne(const FourSums& sums, uint32_t scale, int8_t* y) const;

  FixedPoint scales_;
  int32_t zero_point_;
  int32_t act_min_, act_max_;
#if TFODL_HAS_DSP
  static uint32_t FourTimes(int32_t byte) { return static_cast<uint8_t>(byte) * 0x01010101u; }
  TFODL_INLINE uint32_t Bounded(uint32_t bytes) const {
    return ClampBytes(bytes, FourTimes(act_min_), FourTimes(act_max_));
  }

  // Whether all shifts are above 0.
  static bool ShiftRight(const FixedPoint& scales, uint32_t count);

  bool is_bounded_;  // by more than int8
  bool shifts_right_;
#endif
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_REQUANTIZE_H_
