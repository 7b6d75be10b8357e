#include "tfodl/kernels/max_pool_2d_backward.h"

#include "tfodl/kernels/backward_args.h"
#include "tfodl/float_contract.h"

namespace tfodl {

void MaxPool2DBackward(const PoolOptions& options, const float* delta, const int8_t* x,
                       float* error_x) {
  const uint32_t channels = options.in_c;
  const uint32_t inputs = options.in_h * options.in_w * channels;
  for (uint32_t i = 0; i < inputs; ++i) error_x[i] = 0.0f;

  const uint32_t positions = options.out_h * options.out_w;
  for (uint32_t p = 0; p < positions; ++p) {
    const WindowRange rows(p / options.out_w, options.stride_h, options.pad_top,
                           options.filter_h, options.in_h);
    const WindowRange columns(p % options.out_w, options.stride_w, options.pad_left,
                              options.filter_w, options.in_w);
    for (uint32_t c = 0; c < channels; ++c) {
      const float error = delta[p * channels + c];
      if (error == 0.0f) continue;
      uint32_t winner = 0;
      int32_t largest = INT32_MIN;
      for (int32_t ky = rows.begin; ky < rows.end; ++ky) {
        for (int32_t kx = columns.begin; kx < columns.end; ++kx) {
          const uint32_t pixel = (static_cast<uint32_t>(rows.origin + ky) * options.in_w +
                                  static_cast<uint32_t>(columns.origin + kx)) * channels + c;
          if (x[pixel] > largest) {
            largest = x[pixel];
            winner = pixel;
          }
        }
      }
      error_x[winner] += error;
    }
  }
}

}  // namespace tfodl
