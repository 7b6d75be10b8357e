#include "tfodl/optimize.h"
#include "tfodl/kernels/depthwise_conv_2d.h"

#include "tfodl/dsp.h"
#include "tfodl/kernels/requantize.h"
#include "tfodl/kernels/window_range.h"

namespace tfodl {
namespace {

// The taps of a window that lie inside the input.
struct Taps {
  const int8_t* x;        // the first input pixel
  const int8_t* weights;  // its tap
  uint32_t rows, columns;
  uint32_t x_row, x_column;        // bytes from one to the next
  uint32_t weights_row, channels;  // a column of weights has all output channels
  uint32_t x_rest, weights_rest;   // bytes from the end of one row to the next
};

TFODL_INLINE int32_t SumOf(const Taps& taps, uint32_t in_channel, uint32_t channel,
                           int32_t zero_point, int32_t sum) {
  const int8_t* x_row = taps.x + in_channel;
  const int8_t* weights_row = taps.weights + channel;
  for (uint32_t row = taps.rows; row > 0; --row) {
    const int8_t* x = x_row;
    const int8_t* weights = weights_row;
    for (uint32_t column = taps.columns; column > 0; --column) {
      sum = AddProduct(sum, *x - zero_point, *weights);
      x += taps.x_column;
      weights += taps.channels;
    }
    x_row += taps.x_row;
    weights_row += taps.weights_row;
  }
  return sum;
}

#if TFODL_HAS_DSP
// The outputs of four channels.
TFODL_NOINLINE void FourChannels(const Taps& taps, uint32_t channel, uint32_t offsets,
                                 const int32_t* bias, const Requantizer& requantizer, int8_t* y) {
  const int8_t* x = taps.x + channel;
  const int8_t* weights = taps.weights + channel;
  const uint32_t step = taps.channels;
  FourSums sums = {0, 0, 0, 0};
  if (bias != nullptr) sums = LoadFour(bias + channel);
  for (uint32_t row = taps.rows; row > 0; --row) {
    if (taps.columns == 3) {
      MultiplyTap(&x, &weights, step, offsets, &sums);
      MultiplyTap(&x, &weights, step, offsets, &sums);
      MultiplyTap(&x, &weights, step, offsets, &sums);
    } else {
      for (uint32_t column = taps.columns; column > 0; --column) {
        MultiplyTap(&x, &weights, step, offsets, &sums);
      }
    }
    x += taps.x_rest;
    weights += taps.weights_rest;
  }
  requantizer.Four(sums, channel, y + channel);
}
#endif

TFODL_NOINLINE void Pixel(const Conv& conv, const Requantizer& requantizer, const Taps& taps,
                          const int32_t* bias, int8_t* y) {
  const uint32_t channels = conv.options.out_c;
  const int32_t zero_point = conv.options.x_zero_point;
  uint32_t channel = 0;
  if (conv.options.in_c == channels) {
#if TFODL_HAS_DSP
    const uint32_t offsets = MakePair(-zero_point, -zero_point);
    for (; channel + 4 <= channels; channel += 4) {
      FourChannels(taps, channel, offsets, bias, requantizer, y);
    }
#endif
    for (; channel < channels; ++channel) {
      const int32_t start = BiasAt(bias, channel);
      y[channel] = requantizer.One(SumOf(taps, channel, channel, zero_point, start), channel);
    }
    return;
  }
  const uint32_t multiplier = channels / conv.options.in_c;
  for (uint32_t in_channel = 0; channel < channels; ++in_channel) {
    for (const uint32_t end = channel + multiplier; channel < end; ++channel) {
      const int32_t start = BiasAt(bias, channel);
      y[channel] = requantizer.One(SumOf(taps, in_channel, channel, zero_point, start), channel);
    }
  }
}

// One row of outputs. x_row: the input row of the window's first row that lies inside the input.
void Row(const Conv& conv, const Requantizer& requantizer, const int8_t* x_row,
         const WindowRange& rows, const int8_t* weights, const int32_t* bias, int8_t* y) {
  const ConvOptions& o = conv.options;
  Taps taps = {};
  taps.x_row = o.in_w * o.in_c;
  taps.x_column = o.in_c;
  taps.weights_row = o.kernel_w * o.out_c;
  taps.channels = o.out_c;
  taps.rows = static_cast<uint32_t>(rows.end - rows.begin);
  weights += static_cast<uint32_t>(rows.begin) * taps.weights_row;
  for (uint32_t out_x = 0; out_x < o.out_w; ++out_x, y += o.y_c) {
    const WindowRange columns(out_x, o.stride_w, o.pad_left, o.kernel_w, o.in_w);
    taps.columns = static_cast<uint32_t>(columns.end - columns.begin);
    taps.x = x_row + static_cast<uint32_t>(columns.origin + columns.begin) * o.in_c;
    taps.weights = weights + static_cast<uint32_t>(columns.begin) * o.out_c;
    taps.x_rest = taps.x_row - taps.columns * o.in_c;
    taps.weights_rest = taps.weights_row - taps.columns * o.out_c;
    Pixel(conv, requantizer, taps, bias, y);
  }
}

WindowRange RowsOf(const ConvOptions& o, uint32_t out_y) {
  return WindowRange(out_y, o.stride_h, o.pad_top, o.kernel_h, o.in_h);
}

}  // namespace

void DepthwiseConv2D(const Conv& conv, const int8_t* x, const int8_t* weights, const int32_t* bias,
                     int8_t* y) {
  const ConvOptions& o = conv.options;
  const Requantizer requantizer(o, conv.scales, o.out_c);
  y += o.first_c;
  for (uint32_t out_y = 0; out_y < o.out_h; ++out_y, y += o.out_w * o.y_c) {
    const WindowRange rows = RowsOf(o, out_y);
    const uint32_t first = static_cast<uint32_t>(rows.origin + rows.begin);
    Row(conv, requantizer, x + first * o.in_w * o.in_c, rows, weights, bias, y);
  }
}

// The scratch memory holds the rows of one window, which moves down the map: what an output row
// overwrites is in it as long as it is needed.
void DepthwiseConv2DInPlace(const Conv& conv, const int8_t* weights, const int32_t* bias,
                            int8_t* scratch, int8_t* map) {
  const ConvOptions& o = conv.options;
  const Requantizer requantizer(o, conv.scales, o.out_c);
  const uint32_t line = o.in_w * o.in_c;
  int8_t* const last = scratch + (o.kernel_h - 1) * line;
  uint32_t next = 0;  // row of the map
  for (uint32_t out_y = 0; out_y < o.out_h; ++out_y, map += line) {
    // The first time until the window is full.
    for (; next < out_y + o.kernel_h - o.pad_top; ++next) {
      CopyBytes(scratch + line, static_cast<uint32_t>(last - scratch), scratch);
      if (next < o.in_h) CopyBytes(map + (next - out_y) * line, line, last);
    }
    const WindowRange rows = RowsOf(o, out_y);
    const int8_t* const first = scratch + static_cast<uint32_t>(rows.begin) * line;
    Row(conv, requantizer, first, rows, weights, bias, map);
  }
}

}  // namespace tfodl
