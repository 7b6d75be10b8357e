// The tensors that every loss op has.
//
// inputs: the model's output (int8), label (int32 [1]), state, and what a loss adds; outputs: error
// (one per element of the output), report (float32 [6]).
#ifndef TFODL_OPS_LOSS_H_
#define TFODL_OPS_LOSS_H_

#include "tfodl/decision.h"
#include "tfodl/ops/op.h"

namespace tfodl {

enum LossInputs { kLossOutput, kLossLabel, kLossState, kLossInputs };

template <class Error>
TfLiteStatus PrepareLoss(TfLiteContext* context, TfLiteNode* node, int inputs, const char* name);

template <class Error>
struct LossTensors {
  const int8_t* output;
  uint32_t count;
  int32_t label;
  State* state;
  Error* error;
  Report* report;
};

template <class Error>
LossTensors<Error> GetLossTensors(const TfLiteContext* context, const TfLiteNode* node);

}  // namespace tfodl

#endif  // TFODL_OPS_LOSS_H_
