// Backward pass of FULLY_CONNECTED, z = W x + b, with per-tensor or per-channel weight scales s.
//
//   error_x[i]  = sum over o of delta[o] s[o] w[o, i]                  (w before its update)
//   w[o, i]    -= SR(lr * delta[o] * x_scale * (x[i] - x_zp) / s[o])
//   b[o]       -= SR(lr * delta[o] / (x_scale * s[o]))
//
// delta: [out_c] floats, x: [in_c] int8, weights: [out_c, in_c] int8, bias: [out_c] int32,
// error_x: [in_c] floats. Only neurons with delta != 0 are touched, each once.
#ifndef TFODL_KERNELS_FULLY_CONNECTED_BACKWARD_H_
#define TFODL_KERNELS_FULLY_CONNECTED_BACKWARD_H_

#include <stdint.h>

#include "tfodl/kernels/backward_args.h"
#include "tfodl/float_contract.h"

namespace tfodl {

template <class Rounder>
void FullyConnectedBackward(const BackwardArgs& args, Rounder* rounder) {
  const Layer& layer = args.layer;
  const LayerOptions& options = layer.options;
  const uint32_t inputs = options.in_c;
  if (layer.Has(kPropagate)) {
    for (uint32_t i = 0; i < inputs; ++i) args.error_x[i] = 0.0f;
  }
  for (uint32_t o = 0; o < options.out_c; ++o) {
    const float delta = args.delta[o];
    if (delta == 0.0f) continue;
    const float weight_scale = layer.WeightScale(o);
    int8_t* row = args.weights == nullptr ? nullptr : args.weights + o * inputs;
    if (layer.Has(kPropagate)) {
      const float scaled = delta * weight_scale;
      for (uint32_t i = 0; i < inputs; ++i) {
        args.error_x[i] += scaled * static_cast<float>(row[i]);
      }
    }
    if (!layer.MayUpdate(o)) continue;
    if (layer.Has(kUpdateWeights)) {
      const float factor = args.learning_rate * options.x_scale / weight_scale;
      for (uint32_t i = 0; i < inputs; ++i) {
        const int32_t x = args.x[i] - options.x_zero_point;
        rounder->UpdateWeight(&row[i], delta * static_cast<float>(x) * factor);
      }
    }
    if (layer.Has(kUpdateBias)) {
      rounder->UpdateBias(&args.bias[o],
                          args.learning_rate * delta / (options.x_scale * weight_scale));
    }
  }
}

}  // namespace tfodl

#endif  // TFODL_KERNELS_FULLY_CONNECTED_BACKWARD_H_
