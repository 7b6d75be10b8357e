// Steps of int8 weights by stochastic rounding.
//
//   q -= SR(step),  SR(v) = floor(v + u),  u uniform in [0, 1)
//
// E[SR(v)] = v. A step is an integer t / 2^16, and u = r / 2^16. Eight weights that follow each
// other share a draw R of the generator: r is the low 16 bits of R rotated right by 0, 8, 16 and 24
// bits for the first four, and the same of R ^ 0x80808080 for the others, half the range away. A
// step is an int8 itself; a weight saturates at -127 and 127, which is counted.
#ifndef TFODL_KERNELS_STOCHASTIC_UPDATE_H_
#define TFODL_KERNELS_STOCHASTIC_UPDATE_H_

#include <stdint.h>

#include "tfodl/kernels/step_scale.h"

namespace tfodl {

struct RoundingState {
  uint32_t rng;
  uint32_t saturated;  // updates so far
};

// weights[i] -= SR(factor (x[i] - x_zero_point)), |factor| <= 127. t = A (x[i] - x_zero_point) with
// A = SR(2^16 factor). A = 0 draws no more numbers.
void StochasticOuter(int8_t* weights, const int8_t* x, int32_t x_zero_point, float factor,
                     uint32_t count, RoundingState* state);

// weights[i] -= SR(scales[i * next_scale] * gradient[i]). next_scale: 0 with any `count`, 1 with up
// to four weights.
void StochasticRow(int8_t* weights, const int32_t* gradient, const StepScale* scales,
                   uint32_t next_scale, uint32_t count, RoundingState* state);

}  // namespace tfodl

#endif  // TFODL_KERNELS_STOCHASTIC_UPDATE_H_
