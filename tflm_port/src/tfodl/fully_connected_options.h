// Options of TFODL_FULLY_CONNECTED, as they lie in the .tflite file (docs/training-graph.md).
#ifndef TFODL_FULLY_CONNECTED_OPTIONS_H_
#define TFODL_FULLY_CONNECTED_OPTIONS_H_

#include <stdint.h>

#include "tfodl/fixed_point.h"

namespace tfodl {

struct FullyConnectedOptions {
  uint32_t abi_version;
  uint32_t rows;  // vectors that are multiplied by the weights, one after the other
  uint32_t in_c, out_c;
  int32_t x_zero_point, y_zero_point;
  int32_t act_min, act_max;
  uint32_t n_scales;  // 1, or one per output
};

static_assert(sizeof(FullyConnectedOptions) == 36, "9 words");

// The options and the scales behind them, which stay where they are (flash on a board).
struct FullyConnectedLayer {
  FullyConnectedOptions options;
  FixedPoint scales;
};

// Checks every field, scale and the exact length: what it accepts, the kernel can run.
bool ParseFullyConnected(const uint8_t* blob, uint32_t length, FullyConnectedLayer* layer);

// Of a blob that ParseFullyConnected has accepted before.
FullyConnectedLayer ReadFullyConnected(const uint8_t* blob);

}  // namespace tfodl

#endif  // TFODL_FULLY_CONNECTED_OPTIONS_H_
