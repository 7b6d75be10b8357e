// TFODL_RATE: the learning rate of this sample. Behind the loss op, where a schedule or a clipped
// error wants it to change; see rate_step.h for what it computes.
//
// inputs: state, report; no outputs.
#include "tfodl/rate_step.h"

#include "tfodl/decision.h"
#include "tfodl/ops/ops.h"
#include "tfodl/session.h"
#include "tfodl/state.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_RATE";

enum Inputs { kState, kReport, kInputs };

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  RateOptions options;
  if (data == nullptr || !ParseRate(data->options, data->length, &options)) {
    return Refuse(kName, "invalid options");
  }
  if (InputCount(node) != kInputs || OutputCount(node) != 0) {
    return Refuse(kName, "wrong number of tensors");
  }
  if (!IsState(Input(context, node, kState)) ||
      !IsTensor(Input(context, node, kReport), kTfLiteFloat32, kReportFloats)) {
    return Refuse(kName, "a tensor does not fit");
  }
  return kTfLiteOk;
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  State* state = InputData<State>(context, node, kState);
  if (state->active == 0) return kTfLiteOk;
  const OpData* data = GetOpData(node);
  RateOptions options;
  ParseRate(data->options, data->length, &options);
  const float alpha = InputData<Report>(context, node, kReport)->alpha;
  state->rate_factor = RateFactor(options, state->samples - 1, alpha);
  if (IsClipped(options, alpha)) CountClipped();
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kRateOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
