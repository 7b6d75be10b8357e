// Backward pass of DEPTHWISE_CONV_2D: output channel o reads input channel o / multiplier,
// multiplier = out_c / in_c, with per-tensor or per-channel weight scales s.
//
//   z[p, o]       = sum over ky, kx of x[window(p) + (ky, kx), o / multiplier] w[ky, kx, o] + b[o]
//   error_x[q, c] = sum over p, o, (ky, kx) with window(p) + (ky, kx) = q, o / multiplier = c
//                   of delta[p, o] s[o] w[ky, kx, o]                   (w before its update)
//   g[ky, kx]     = sum over p of delta[p, o] (x[window(p) + (ky, kx), o / multiplier] - x_zp)
//   w[.., o]     -= SR(lr * x_scale * g / s[o])
//   b[o]         -= SR(lr * sum over p of delta[p, o] / (x_scale * s[o]))
//
// delta: [out_h, out_w, out_c] floats, x: [in_h, in_w, in_c] int8, weights:
// [kernel_h, kernel_w, out_c] int8, bias: [out_c] int32, error_x: [in_h, in_w, in_c] floats,
// scratch: kernel_h * kernel_w floats (g of one neuron).
#ifndef TFODL_KERNELS_DEPTHWISE_CONV_2D_BACKWARD_H_
#define TFODL_KERNELS_DEPTHWISE_CONV_2D_BACKWARD_H_

#include <stdint.h>

#include "tfodl/kernels/backward_args.h"
#include "tfodl/float_contract.h"

namespace tfodl {

template <class Rounder>
void DepthwiseConv2DBackward(const BackwardArgs& args, Rounder* rounder) {
  const Layer& layer = args.layer;
  const LayerOptions& options = layer.options;
  const uint32_t outputs = options.out_c;
  const uint32_t multiplier = outputs / options.in_c;
  const uint32_t window = FanIn(options, LayerKind::kDepthwiseConv2D);
  const uint32_t positions = options.out_h * options.out_w;
  if (layer.Has(kPropagate)) {
    for (uint32_t i = 0; i < layer.InputCount(); ++i) args.error_x[i] = 0.0f;
  }
  for (uint32_t o = 0; o < outputs; ++o) {
    const float weight_scale = layer.WeightScale(o);
    const uint32_t channel = o / multiplier;
    const bool update_weights = layer.Has(kUpdateWeights) && layer.MayUpdate(o);
    const bool update_bias = layer.Has(kUpdateBias) && layer.MayUpdate(o);
    bool touched = false;
    float delta_sum = 0.0f;
    for (uint32_t p = 0; p < positions; ++p) {
      const float delta = args.delta[p * outputs + o];
      if (delta == 0.0f) continue;
      if (!touched && update_weights) {
        for (uint32_t j = 0; j < window; ++j) args.scratch[j] = 0.0f;
      }
      touched = true;
      delta_sum += delta;
      const float scaled = delta * weight_scale;
      const WindowRange rows(p / options.out_w, options.stride_h, options.pad_top,
                             options.kernel_h, options.in_h);
      const WindowRange columns(p % options.out_w, options.stride_w, options.pad_left,
                                options.kernel_w, options.in_w);
      for (int32_t ky = rows.begin; ky < rows.end; ++ky) {
        for (int32_t kx = columns.begin; kx < columns.end; ++kx) {
          const uint32_t tap =
              static_cast<uint32_t>(ky) * options.kernel_w + static_cast<uint32_t>(kx);
          const uint32_t pixel = (static_cast<uint32_t>(rows.origin + ky) * options.in_w +
                                  static_cast<uint32_t>(columns.origin + kx)) *
                                     options.in_c + channel;
          if (layer.Has(kPropagate)) {
            args.error_x[pixel] += scaled * static_cast<float>(args.weights[tap * outputs + o]);
          }
          if (update_weights) {
            const int32_t x = args.x[pixel] - options.x_zero_point;
            args.scratch[tap] += delta * static_cast<float>(x);
          }
        }
      }
    }
    if (!touched) continue;
    if (update_weights) {
      const float factor = args.learning_rate * options.x_scale / weight_scale;
      for (uint32_t j = 0; j < window; ++j) {
        rounder->UpdateWeight(&args.weights[j * outputs + o], args.scratch[j] * factor);
      }
    }
    if (update_bias) {
      rounder->UpdateBias(&args.bias[o],
                          args.learning_rate * delta_sum / (options.x_scale * weight_scale));
    }
  }
}

}  // namespace tfodl

#endif  // TFODL_KERNELS_DEPTHWISE_CONV_2D_BACKWARD_H_
