// Options of TFODL_CONV_2D and TFODL_DEPTHWISE_CONV_2D, as they lie in the .tflite file
// (docs/training-graph.md).
#ifndef TFODL_CONV_OPTIONS_H_
#define TFODL_CONV_OPTIONS_H_

#include <stdint.h>

#include "tfodl/fixed_point.h"
#include "tfodl/options.h"

namespace tfodl {

struct ConvOptions {
  uint32_t abi_version;
  uint32_t in_h, in_w, in_c;
  uint32_t out_h, out_w, out_c;
  uint32_t kernel_h, kernel_w;
  uint32_t stride_h, stride_w;
  uint32_t pad_top, pad_left;
  uint32_t y_c, first_c;  // channels of the output's tensor, and where the out_c start in it
  int32_t x_zero_point, y_zero_point;
  int32_t act_min, act_max;
};

static_assert(sizeof(ConvOptions) == 76, "19 words");

// The options and the scales behind them, one per output channel. They stay where they are (flash
// on a board).
struct Conv {
  ConvOptions options;
  FixedPoint scales;
};

// Weights of one output channel.
uint32_t FanIn(const ConvOptions& options, LayerKind kind);

// 4-byte words of scratch memory that the convolution needs.
uint32_t ConvScratchWords(const ConvOptions& options);

// Whether a depthwise convolution can write its output over its input, and the words that takes.
bool CanWorkInPlace(const ConvOptions& options);
uint32_t InPlaceScratchWords(const ConvOptions& options);

// Checks every field, array and the exact length: what it accepts, the kernels can run.
bool ParseConv(const uint8_t* blob, uint32_t length, LayerKind kind, Conv* conv);

// Of a blob that ParseConv has accepted before.
Conv ReadConv(const uint8_t* blob);

}  // namespace tfodl

#endif  // TFODL_CONV_OPTIONS_H_
