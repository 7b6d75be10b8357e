// Backward pass of CONV_2D, z[p, o] = sum over ky, kx, c of x[window(p) + (ky, kx), c] w[o, ky, kx, c]
// + b[o], with per-tensor or per-channel weight scales s.
//
//   error_x[q, c] = sum over p, o, (ky, kx) with window(p) + (ky, kx) = q
//                   of delta[p, o] s[o] w[o, ky, kx, c]                (w before its update)
//   g[ky, kx, c]  = sum over p of delta[p, o] (x[window(p) + (ky, kx), c] - x_zp)
//   w[o, ...]    -= SR(lr * x_scale * g / s[o])
//   b[o]         -= SR(lr * sum over p of delta[p, o] / (x_scale * s[o]))
//
// delta: [out_h, out_w, out_c] floats, x: [in_h, in_w, in_c] int8, weights:
// [out_c, kernel_h, kernel_w, in_c] int8, bias: [out_c] int32, error_x: [in_h, in_w, in_c] floats,
// scratch: kernel_h * kernel_w * in_c floats (g of one neuron). Only entries with delta != 0 cost
// anything; a neuron's weights are read and written in one visit.
#ifndef TFODL_KERNELS_CONV_2D_BACKWARD_H_
#define TFODL_KERNELS_CONV_2D_BACKWARD_H_

#include <stdint.h>

#include "tfodl/kernels/backward_args.h"
#include "tfodl/float_contract.h"

namespace tfodl {

template <class Rounder>
void Conv2DBackward(const BackwardArgs& args, Rounder* rounder) {
  const Layer& layer = args.layer;
  const LayerOptions& options = layer.options;
  const uint32_t channels = options.in_c;
  const uint32_t fan_in = FanIn(options, LayerKind::kConv2D);
  const uint32_t positions = options.out_h * options.out_w;
  if (layer.Has(kPropagate)) {
    for (uint32_t i = 0; i < layer.InputCount(); ++i) args.error_x[i] = 0.0f;
  }
  for (uint32_t o = 0; o < options.out_c; ++o) {
    const float weight_scale = layer.WeightScale(o);
    int8_t* row = args.weights == nullptr ? nullptr : args.weights + o * fan_in;
    const bool update_weights = layer.Has(kUpdateWeights) && layer.MayUpdate(o);
    const bool update_bias = layer.Has(kUpdateBias) && layer.MayUpdate(o);
    bool touched = false;
    float delta_sum = 0.0f;
    for (uint32_t p = 0; p < positions; ++p) {
      const float delta = args.delta[p * options.out_c + o];
      if (delta == 0.0f) continue;
      if (!touched && update_weights) {
        for (uint32_t j = 0; j < fan_in; ++j) args.scratch[j] = 0.0f;
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
          const uint32_t tap = (static_cast<uint32_t>(ky) * options.kernel_w +
                                static_cast<uint32_t>(kx)) * channels;
          const uint32_t pixel = (static_cast<uint32_t>(rows.origin + ky) * options.in_w +
                                  static_cast<uint32_t>(columns.origin + kx)) * channels;
          if (layer.Has(kPropagate)) {
            for (uint32_t c = 0; c < channels; ++c) {
              args.error_x[pixel + c] += scaled * static_cast<float>(row[tap + c]);
            }
          }
          if (update_weights) {
            for (uint32_t c = 0; c < channels; ++c) {
              const int32_t x = args.x[pixel + c] - options.x_zero_point;
              args.scratch[tap + c] += delta * static_cast<float>(x);
            }
          }
        }
      }
    }
    if (!touched) continue;
    if (update_weights) {
      const float factor = args.learning_rate * options.x_scale / weight_scale;
      for (uint32_t j = 0; j < fan_in; ++j) {
        rounder->UpdateWeight(&row[j], args.scratch[j] * factor);
      }
    }
    if (update_bias) {
      rounder->UpdateBias(&args.bias[o],
                          args.learning_rate * delta_sum / (options.x_scale * weight_scale));
    }
  }
}

}  // namespace tfodl

#endif  // TFODL_KERNELS_CONV_2D_BACKWARD_H_
