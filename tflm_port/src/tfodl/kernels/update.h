// In-place updates of int8 weights and int32 biases by stochastic rounding.
//
//   q -= SR(step),  SR(v) = floor(v + u),  u uniform in [0, 1)
//
// `step` is the update in units of the quantized parameter: E[SR(v)] = v. Of a weight it is an
// integer t / 2^16, and u = r / 2^16. Eight weights that follow each other share a draw R of the
// generator: r is the low 16 bits of R rotated right by 0, 8, 16 and 24 bits for the first four,
// and the same of R ^ 0x80808080 for the others, half the range away. A step is an int8 itself; a
// weight saturates at -127 and 127, which is counted.
#ifndef TFODL_KERNELS_UPDATE_H_
#define TFODL_KERNELS_UPDATE_H_

#include <stdint.h>

namespace tfodl {

// How a gradient, an int32 sum, becomes a step: t = round(gradient * multiplier / 2^shift), halves
// up. A multiplier of 0 changes nothing.
struct StepScale {
  int32_t multiplier;  // not negative
  int32_t shift;       // 32, or as much less as `multiplier` needs to fit, at least 16
};

// step = gradient * factor, factor >= 0 or NaN.
StepScale MakeStepScale(float factor);

struct RoundingState {
  uint32_t rng;
  uint32_t saturated;  // updates so far
};

class StochasticRounder {
 public:
  explicit StochasticRounder(uint32_t rng) : state_{rng, 0} {}

  // weights[i] -= SR(factor (x[i] - x_zero_point)). t = A (x[i] - x_zero_point) with
  // A = SR(2^16 factor), |A| at most 127 * 2^16. A = 0 draws no more numbers.
  void UpdateOuter(int8_t* weights, const int8_t* x, int32_t x_zero_point, float factor,
                   uint32_t count);

  // weights[i] -= SR(scale * gradient[i]).
  void UpdateRow(int8_t* weights, const int32_t* gradient, const StepScale& scale, uint32_t count);

  // weights[i] -= SR(scales[i] * gradient[i]) for up to four neighbours.
  void UpdateFour(int8_t* weights, const int32_t* gradient, const StepScale* scales,
                  uint32_t count);

  // A step of exactly 0 draws no random number, a NaN changes nothing. Saturates at int32.
  void UpdateBias(int32_t* bias, float step);

  uint32_t rng() const { return state_.rng; }
  uint32_t saturated() const { return state_.saturated; }

 private:
  RoundingState state_;
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_UPDATE_H_
