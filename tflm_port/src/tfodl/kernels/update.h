// In-place updates of int8 weights and int32 biases by stochastic rounding.
//
//   q -= SR(step),  SR(v) = floor(v + u),  u uniform in [0, 1)
//
// `step` is the float update in units of the quantized parameter. E[SR(v)] = v up to the 24 bits of
// u: the expectation is off by at most 2^-24. A step of exactly 0 draws no random number, a NaN
// changes nothing, and infinities saturate.
//
// The kernels take any type with the two member functions of StochasticRounder, so that a test can
// record the float updates of the very same code.
#ifndef TFODL_KERNELS_UPDATE_H_
#define TFODL_KERNELS_UPDATE_H_

#include <stdint.h>

namespace tfodl {

class StochasticRounder {
 public:
  explicit StochasticRounder(uint32_t rng) : rng_(rng) {}

  // Saturates at -127 and 127, and counts it.
  void UpdateWeight(int8_t* weight, float step);
  // Saturates at the int32 range.
  void UpdateBias(int32_t* bias, float step);

  uint32_t rng() const { return rng_; }
  uint32_t saturated() const { return saturated_; }

 private:
  uint32_t rng_;
  uint32_t saturated_ = 0;
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_UPDATE_H_
