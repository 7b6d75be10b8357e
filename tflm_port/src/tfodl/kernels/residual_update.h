// Steps of weights that are 16-bit fixed-point numbers: w = q + r / 256, with the int8 weight q and
// its int8 residual r, so q is w rounded, halves up.
//
//   N -= d,  N = 256 q + r + 128,  d = floor((t + 128) / 256) the step t / 2^16 in units of 2^-8
//
// d is bounded by int16, N by -127 * 256 and 2^15 - 1; a weight that meets a bound is counted. The
// upper byte of N is q, the lower one r + 128: weights are put together and taken apart for free.
// Nothing is random. All functions return the number of saturated updates.
#ifndef TFODL_KERNELS_RESIDUAL_UPDATE_H_
#define TFODL_KERNELS_RESIDUAL_UPDATE_H_

#include <stdint.h>

#include "tfodl/kernels/step_scale.h"

namespace tfodl {

constexpr int32_t kResidualsPerStep = 256;

// t = factor (x[i] - x_zero_point) 2^16, |factor| <= 127. To be finer than that,
// d = floor((A (x[i] - x_zero_point) + 2^15) / 2^16) with A = 2^24 factor, rounded to zero.
uint32_t ResidualOuter(int8_t* weights, int8_t* residuals, const int8_t* x, int32_t x_zero_point,
                       float factor, uint32_t count);

// t = scales[i * next_scale] * gradient[i]. next_scale: 0 with any `count`, 1 with up to four
// weights.
uint32_t ResidualRow(int8_t* weights, int8_t* residuals, const int32_t* gradient,
                     const StepScale* scales, uint32_t next_scale, uint32_t count);

}  // namespace tfodl

#endif  // TFODL_KERNELS_RESIDUAL_UPDATE_H_
