#include "tfodl/optimize.h"

#include "tfodl/kernels/average_pool_2d_backward.h"

#include "tfodl/float_math.h"
#include "tfodl/kernels/error_type.h"
#include "tfodl/kernels/pool_window.h"

namespace tfodl {

template <class Error>
void AveragePool2DBackward(const PoolOptions& options, const Error* delta, Error* error_x) {
  const uint32_t channels = options.in_c;
  const uint32_t inputs = options.in_h * options.in_w * channels;
  for (uint32_t i = 0; i < inputs; ++i) ClearError(&error_x[i]);

  for (uint32_t out_y = 0; out_y < options.out_h; ++out_y) {
    for (uint32_t out_x = 0; out_x < options.out_w; ++out_x) {
      const PoolWindow window(options, out_y, out_x);
      const float elements = static_cast<float>(window.rows * window.columns);
      for (uint32_t c = 0; c < channels; ++c) {
        const float error = ToFloat(*delta++);
        if (MagnitudeBits(error) == 0) continue;
        const float share = error / elements;
        Error* element = error_x + window.first + c;
        for (uint32_t row = window.rows; row > 0; --row, element += window.gap) {
          for (uint32_t left = window.columns; left > 0; --left, element += channels) {
            StoreError(ToFloat(*element) + share, element);
          }
        }
      }
    }
  }
}

template void AveragePool2DBackward(const PoolOptions& options, const float* delta, float* error_x);
template void AveragePool2DBackward(const PoolOptions& options, const Bfloat16* delta, Bfloat16* error_x);

}  // namespace tfodl
