// From the sums of an int8 convolution to its outputs, in TensorFlow Lite's fixed-point arithmetic.
#ifndef TFODL_KERNELS_REQUANTIZE_H_
#define TFODL_KERNELS_REQUANTIZE_H_

#include <stdint.h>

#include "tfodl/conv_options.h"
#include "tfodl/dsp.h"

namespace tfodl {

class Requantizer {
 public:
  // bias: null where there is none.
  Requantizer(const Conv& conv, const int32_t* bias)
      : multipliers_(conv.multipliers),
        shifts_(conv.shifts),
        bias_(bias),
        zero_point_(conv.options.y_zero_point),
        low_(FourTimes(conv.options.act_min)),
        high_(FourTimes(conv.options.act_max)) {}

  // The output of a channel.
  int8_t One(int32_t sum, uint32_t channel) const;

  // The outputs of four channels from this one on, of their four sums.
  void Four(const int32_t* sums, uint32_t channel, int8_t* y) const;

 private:
  static uint32_t FourTimes(int32_t byte) { return static_cast<uint8_t>(byte) * 0x01010101u; }

  const uint8_t* multipliers_;
  const int8_t* shifts_;
  const int32_t* bias_;
  int32_t zero_point_;
  uint32_t low_, high_;  // the activation's bounds, in all four bytes
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_REQUANTIZE_H_
