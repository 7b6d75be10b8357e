// Two windows of the input at a time, widened to int16 minus the zero point, times the weights of
// two output channels at a time. In the scratch memory four elements of the first window are
// followed by the same four of the second one; behind them is room for one window as bytes.
#include "tfodl/optimize.h"
#include "tfodl/kernels/conv_2d.h"

#include <string.h>

#include "tfodl/kernels/requantize.h"
#include "tfodl/kernels/window_range.h"

namespace tfodl {
namespace {

constexpr uint32_t kGroup = 4;  // elements of a window that lie together

// Where the elements of a group are: as two bytes at a time are widened.
constexpr uint32_t kPlace[kGroup] = {0, 2, 1, 3};

TFODL_NOINLINE void Widen(const int8_t* x, uint32_t count, int32_t zero_point, int16_t* to) {
#if TFODL_HAS_DSP
  const uint32_t offset = MakePair(-zero_point, -zero_point);
  for (; count >= kGroup; count -= kGroup, x += kGroup, to += 2 * kGroup) {
    const uint32_t bytes = LoadWord(x);
    StoreWord(to, EvenBytes(offset, bytes));
    StoreWord(to + 2, OddBytes(offset, bytes));
  }
#endif
  for (uint32_t i = 0; i < count; ++i) {
    to[i / kGroup * 2 * kGroup + kPlace[i % kGroup]] = static_cast<int16_t>(x[i] - zero_point);
  }
}

TFODL_INLINE void AddElement(const int16_t* windows, uint32_t i, const int8_t* a,
                             uint32_t b_offset, WindowSums* sums) {
  const int16_t* const element = windows + kPlace[i];
  sums->a0 = AddProduct(sums->a0, a[0], element[0]);
  sums->a1 = AddProduct(sums->a1, a[0], element[kGroup]);
  sums->b0 = AddProduct(sums->b0, a[b_offset], element[0]);
  sums->b1 = AddProduct(sums->b1, a[b_offset], element[kGroup]);
}

// Both windows times two rows of so many weights, b_offset apart, plus the rows' biases.
TFODL_NOINLINE void Multiply(const int16_t* windows, const int8_t* a, uint32_t b_offset,
                             uint32_t count, const int32_t* biases, int32_t* first, int32_t* second) {
  WindowSums sums = {biases[0], biases[0], biases[1], biases[1]};
  const int8_t* const end = a + count / kGroup * kGroup;
  while (a != end) {
#if TFODL_HAS_DSP
    MultiplyWindows(&windows, &a, b_offset, &sums);
#else
    for (uint32_t i = 0; i < kGroup; ++i) AddElement(windows, i, a + i, b_offset, &sums);
    windows += 2 * kGroup;
    a += kGroup;
#endif
  }
  for (uint32_t i = 0; i < count % kGroup; ++i) AddElement(windows, i, a + i, b_offset, &sums);
  first[0] = sums.a0;
  first[1] = sums.b0;
  second[0] = sums.a1;
  second[1] = sums.b1;
}

// All channels of the two output pixels y0 and y1.
TFODL_NOINLINE void TwoPixels(const Conv& conv, const int16_t* windows, const int8_t* weights,
                              const int32_t* bias, uint32_t fan_in, int8_t* y0, int8_t* y1) {
  static const int32_t kNoBias[4] = {0, 0, 0, 0};
  const Requantizer requantizer(conv.options, conv.scales);
  const uint32_t channels = conv.options.out_c;
  const uint32_t next = bias == nullptr ? 0 : 1;
  const int32_t* biases = bias == nullptr ? kNoBias : bias;
  uint32_t channel = 0;
  for (; channel + 4 <= channels; channel += 4, weights += 4 * fan_in, biases += 4 * next) {
    int32_t first[4], second[4];
    Multiply(windows, weights, fan_in, fan_in, biases, first, second);
    Multiply(windows, weights + 2 * fan_in, fan_in, fan_in, biases + 2, first + 2, second + 2);
    requantizer.Four(first, channel, y0 + channel);
    requantizer.Four(second, channel, y1 + channel);
  }
  for (; channel < channels; ++channel, weights += fan_in) {
    const int32_t one_bias = BiasAt(bias, channel);
    const int32_t both[2] = {one_bias, one_bias};
    int32_t first[2], second[2];
    Multiply(windows, weights, 0, fan_in, both, first, second);
    y0[channel] = requantizer.One(first[0], channel);
    y1[channel] = requantizer.One(second[0], channel);
  }
}

// The window of an output pixel as bytes: the zero point where it leaves the input.
TFODL_NOINLINE void Gather(const ConvOptions& o, const int8_t* x, const WindowRange& rows,
                           uint32_t out_x, int8_t* window) {
  const WindowRange columns(out_x, o.stride_w, o.pad_left, o.kernel_w, o.in_w);
  const uint32_t line = o.kernel_w * o.in_c;
  const uint32_t inside = static_cast<uint32_t>(columns.end - columns.begin) * o.in_c;
  const uint32_t height = static_cast<uint32_t>(rows.end - rows.begin);
  if (inside * height != line * o.kernel_h) memset(window, o.x_zero_point, line * o.kernel_h);
  window += static_cast<uint32_t>(rows.begin) * line +
            static_cast<uint32_t>(columns.begin) * o.in_c;
  const uint32_t next = o.in_w * o.in_c;
  x += static_cast<uint32_t>(rows.origin + rows.begin) * next +
       static_cast<uint32_t>(columns.origin + columns.begin) * o.in_c;
  for (uint32_t row = height; row > 0; --row, x += next, window += line) {
    CopyBytes(x, inside, window);
  }
}

}  // namespace

void Conv2D(const Conv& conv, const int8_t* x, const int8_t* weights, const int32_t* bias,
            int16_t* scratch, int8_t* y) {
  const ConvOptions& o = conv.options;
  const uint32_t fan_in = FanIn(o, LayerKind::kConv2D);
  const bool is_pixel = o.kernel_h * o.kernel_w == 1;
  int8_t* const gathered =
      reinterpret_cast<int8_t*>(scratch + (fan_in + kGroup - 1) / kGroup * 2 * kGroup);
  const int8_t* window = gathered;
  int8_t* waiting = nullptr;  // the output of the first window
  y += o.first_c;
  for (uint32_t out_y = 0; out_y < o.out_h; ++out_y) {
    const WindowRange rows(out_y, o.stride_h, o.pad_top, o.kernel_h, o.in_h);
    for (uint32_t out_x = 0; out_x < o.out_w; ++out_x, y += o.y_c) {
      if (is_pixel) {
        window = x + (out_y * o.stride_h * o.in_w + out_x * o.stride_w) * o.in_c;
      } else {
        Gather(o, x, rows, out_x, gathered);
      }
      if (waiting == nullptr) {
        Widen(window, fan_in, o.x_zero_point, scratch);
        waiting = y;
      } else {
        Widen(window, fan_in, o.x_zero_point, scratch + kGroup);
        TwoPixels(conv, scratch, weights, bias, fan_in, waiting, y);
        waiting = nullptr;
      }
    }
  }
  if (waiting != nullptr) {
    Widen(window, fan_in, o.x_zero_point, scratch + kGroup);
    TwoPixels(conv, scratch, weights, bias, fan_in, waiting, waiting);
  }
}

}  // namespace tfodl
