// The error of a layer as 16-bit integers, so that the backward pass is integer arithmetic.
//
//   e[p, o] = round(delta[p, o] * q[o] / E)
//
// q are the weight scales s, so that neurons add up: q = s. Only where channels do not mix, in a
// depthwise convolution with one neuron per channel, q = 1: there the scales of folded networks
// differ by orders of magnitude, the errors do not, and error_x gets its s at the end.
// E is the smallest power of two with max |delta q| <= L E; rounding is half to even.
// L <= 32767 is as large as it can be while no sum of the layer leaves the int32 range:
//
//   input gradient   sum of e w,          |w| <= 127, ceil(kernel / stride) windows over an input
//   weight gradient  sum of e (x - x_zp), |x - x_zp| <= 255, out_h * out_w positions
#ifndef TFODL_KERNELS_INTEGER_ERROR_H_
#define TFODL_KERNELS_INTEGER_ERROR_H_

#include <stdint.h>

#include "tfodl/float_math.h"
#include "tfodl/inline.h"
#include "tfodl/options.h"

namespace tfodl {

// L of a layer.
uint32_t LargestIntegerError(const Layer& layer, LayerKind kind);

struct ErrorUnit {
  float unit;   // E, a power of two from 2^-126 to 2^100
  float magic;  // 1.5 * 2^23 * E: the last bit of a sum with it is worth E
};

// E for max |delta q| = `largest`. 0 where `largest` needs more than 2^100, infinity and NaN.
ErrorUnit MakeErrorUnit(float largest, uint32_t limit);

// Whether q = 1.
inline bool HasOwnChannels(const LayerOptions& options, LayerKind kind) {
  return kind == LayerKind::kDepthwiseConv2D && options.in_c == options.out_c;
}

// E of a layer. largest: max |delta|, which is all that matters with one q. 0 as above.
template <class Error>
ErrorUnit ErrorUnitOf(const Layer& layer, LayerKind kind, const Error* delta, float largest);

TFODL_INLINE int32_t IntegerError(float delta, float q, const ErrorUnit& unit) {
  return static_cast<int16_t>(FloatBits(delta * q + unit.magic) & 0xffffu);
}

// Converts the whole error, floats or Bfloat16s, in place; what is returned lies where delta lay.
template <class Error>
const int16_t* ToIntegerErrors(const Layer& layer, LayerKind kind, const ErrorUnit& unit,
                               Error* delta);

// In place: from the int32 sums of `pixels` inputs, in_c each, to floats in real units, sum * E,
// where q = 1 sum * (E * s).
void ToRealErrors(const Layer& layer, LayerKind kind, const ErrorUnit& unit, uint32_t pixels,
                  int32_t* sums);

}  // namespace tfodl

#endif  // TFODL_KERNELS_INTEGER_ERROR_H_
