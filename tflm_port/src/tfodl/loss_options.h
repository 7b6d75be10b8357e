// Options of the losses beside softmax and cross entropy, as they lie in the .tflite file
// (docs/training-graph.md).
#ifndef TFODL_LOSS_OPTIONS_H_
#define TFODL_LOSS_OPTIONS_H_

#include <stdint.h>

#include "tfodl/options.h"

namespace tfodl {

struct LossOptions {
  uint32_t abi_version;
  float scale;  // of the int8 output or logit
  int32_t zero_point;
  float target_scale;  // of an int8 target
  int32_t target_zero_point;
  SkipSettings skip;
};

static_assert(sizeof(LossOptions) == 40, "ten words");

// Checks every field and the exact length.
bool ParseLoss(const uint8_t* blob, uint32_t length, LossOptions* options);

}  // namespace tfodl

#endif  // TFODL_LOSS_OPTIONS_H_
