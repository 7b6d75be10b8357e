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

class Requantizer {
 public:
  // Of an op with the options y_zero_point, act_min and act_max, and so many scales.
  template <class Options>
  Requantizer(const Options& options, const FixedPoint& scales, uint32_t count)
      : scales_(scales),
        zero_point_(options.y_zero_point),
        low_(FourTimes(options.act_min)),
        high_(FourTimes(options.act_max)) {
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
  void Four(const int32_t* sums, uint32_t scale, int8_t* y) const;

  // The same of two times four sums with these scales.
  void TwoFours(const int32_t* sums, uint32_t scale, int8_t* first, int8_t* second) const;

 private:
  static uint32_t FourTimes(int32_t byte) { return static_cast<uint8_t>(byte) * 0x01010101u; }

  FixedPoint scales_;
  int32_t zero_point_;
  uint32_t low_, high_;  // the activation's bounds, in all four bytes
#if TFODL_HAS_DSP
  // Whether all shifts are above 0.
  static bool ShiftRight(const FixedPoint& scales, uint32_t count);

  bool is_bounded_;  // by more than int8
  bool shifts_right_;
#endif
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_REQUANTIZE_H_
