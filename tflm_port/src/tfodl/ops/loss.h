// The tensors that every loss op has.
//
// inputs: the model's output (int8), label (int32 [1]), state, and what a loss adds; outputs: error
// (float32, one per element of the output), report (float32 [4]).
#ifndef TFODL_OPS_LOSS_H_
#define TFODL_OPS_LOSS_H_

#include "tfodl/decision.h"
#include "tfodl/ops/op.h"

namespace tfodl {

enum LossInputs { kLossOutput, kLossLabel, kLossState, kLossInputs };

TfLiteStatus PrepareLoss(TfLiteContext* context, TfLiteNode* node, int inputs, const char* name);

struct LossTensors {
  const int8_t* output;
  uint32_t count;
  int32_t label;
  State* state;
  float* error;
  Report* report;
};

LossTensors GetLossTensors(const TfLiteContext* context, const TfLiteNode* node);

}  // namespace tfodl

#endif  // TFODL_OPS_LOSS_H_
