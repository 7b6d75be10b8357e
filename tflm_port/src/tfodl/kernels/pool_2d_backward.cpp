#include "tfodl/optimize.h"

#include "tfodl/kernels/pool_2d_backward.h"

#include "tfodl/float_math.h"
#include "tfodl/kernels/error_type.h"
#include "tfodl/kernels/window_range.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

// The part of a window that lies inside the input: its first element and its rows.
struct PoolWindow {
  uint32_t first;  // of channel 0
  uint32_t rows, columns;
  uint32_t gap;  // elements from the end of a row to the next one

  TFODL_COLD PoolWindow(const PoolOptions& o, uint32_t out_y, uint32_t out_x) {
    const WindowRange y(out_y, o.stride_h, o.pad_top, o.filter_h, o.in_h);
    const WindowRange x(out_x, o.stride_w, o.pad_left, o.filter_w, o.in_w);
    rows = static_cast<uint32_t>(y.end - y.begin);
    columns = static_cast<uint32_t>(x.end - x.begin);
    first = (static_cast<uint32_t>(y.origin + y.begin) * o.in_w +
             static_cast<uint32_t>(x.origin + x.begin)) * o.in_c;
    gap = (o.in_w - columns) * o.in_c;
  }
};

template <class Error>
TFODL_HOT void ClearErrors(Error* errors, uint32_t count) {
  for (; count >= 4; count -= 4) {
    for (uint32_t i = 0; i < 4; ++i) ClearError(errors++);
  }
  for (; count > 0; --count) ClearError(errors++);
}

// The errors of one window: `delta` and the element of channel 0, as all others.
template <class Error>
TFODL_HOT void AverageWindow(const PoolWindow& window, uint32_t channels, const Error* delta,
                                  Error* error_x) {
  const float elements = static_cast<float>(window.rows * window.columns);
  for (const Error* const end = delta + channels; delta != end; ++delta, ++error_x) {
    const float error = ToFloat(*delta);
    if (MagnitudeBits(error) == 0) continue;
    const float share = error / elements;
    Error* element = error_x;
    uint32_t rows = window.rows;
    do {  // there is at least one element
      uint32_t left = window.columns;
      do {
        StoreError(ToFloat(*element) + share, element);
        element += channels;
      } while (--left > 0);
      element += window.gap;
    } while (--rows > 0);
  }
}

template <class Error>
TFODL_HOT void MaxWindow(const PoolWindow& window, uint32_t channels, const Error* delta,
                              const int8_t* x, Error* error_x) {
  for (const Error* const end = delta + channels; delta != end; ++delta, ++error_x, ++x) {
    const float error = ToFloat(*delta);
    if (MagnitudeBits(error) == 0) continue;
    const int8_t* input = x;
    const int8_t* winner = x;
    int32_t largest = INT32_MIN;
    uint32_t rows = window.rows;
    do {
      uint32_t left = window.columns;
      do {
        if (*input > largest) {
          largest = *input;
          winner = input;
        }
        input += channels;
      } while (--left > 0);
      input += window.gap;
    } while (--rows > 0);
    Error* const element = error_x + (winner - x);
    StoreError(ToFloat(*element) + error, element);
  }
}

}  // namespace

template <class Error>
TFODL_COLD void Pool2DBackward(const PoolOptions& options, const Error* delta, const int8_t* x,
                               Error* error_x) {
  const uint32_t channels = options.in_c;
  ClearErrors(error_x, options.in_h * options.in_w * channels);

  for (uint32_t out_y = 0; out_y < options.out_h; ++out_y) {
    for (uint32_t out_x = 0; out_x < options.out_w; ++out_x, delta += channels) {
      const PoolWindow window(options, out_y, out_x);
      if (x == nullptr) {
        AverageWindow(window, channels, delta, error_x + window.first);
      } else {
        MaxWindow(window, channels, delta, x + window.first, error_x + window.first);
      }
    }
  }
}

template void Pool2DBackward(const PoolOptions& options, const float* delta, const int8_t* x,
                             float* error_x);
template void Pool2DBackward(const PoolOptions& options, const Bfloat16* delta, const int8_t* x,
                             Bfloat16* error_x);

}  // namespace tfodl
