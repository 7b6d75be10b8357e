#include "tfodl/optimize.h"

#include "tfodl/kernels/max_pool_2d_backward.h"

#include "tfodl/float_math.h"
#include "tfodl/kernels/error_type.h"
#include "tfodl/kernels/pool_window.h"

namespace tfodl {

template <class Error>
void MaxPool2DBackward(const PoolOptions& options, const Error* delta, const int8_t* x,
                       Error* error_x) {
  const uint32_t channels = options.in_c;
  const uint32_t inputs = options.in_h * options.in_w * channels;
  for (uint32_t i = 0; i < inputs; ++i) ClearError(&error_x[i]);

  for (uint32_t out_y = 0; out_y < options.out_h; ++out_y) {
    for (uint32_t out_x = 0; out_x < options.out_w; ++out_x) {
      const PoolWindow window(options, out_y, out_x);
      for (uint32_t c = 0; c < channels; ++c) {
        const float error = ToFloat(*delta++);
        if (MagnitudeBits(error) == 0) continue;
        uint32_t element = window.first + c;
        uint32_t winner = element;
        int32_t largest = INT32_MIN;
        for (uint32_t row = window.rows; row > 0; --row, element += window.gap) {
          for (uint32_t left = window.columns; left > 0; --left, element += channels) {
            if (x[element] > largest) {
              largest = x[element];
              winner = element;
            }
          }
        }
        StoreError(ToFloat(error_x[winner]) + error, &error_x[winner]);
      }
    }
  }
}

template void MaxPool2DBackward(const PoolOptions& options, const float* delta, const int8_t* x,
                                float* error_x);
template void MaxPool2DBackward(const PoolOptions& options, const Bfloat16* delta, const int8_t* x,
                                Bfloat16* error_x);

}  // namespace tfodl
