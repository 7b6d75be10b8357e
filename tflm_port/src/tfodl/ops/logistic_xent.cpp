// TFODL_LOGISTIC_XENT: sigmoid and binary cross entropy, for two classes and one logit.
//
// inputs: logit (int8, one), label (int32 [1]: 0 or 1), state; outputs: error (float32, one), report.
#include "tfodl/loss_step.h"
#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_LOGISTIC_XENT";

enum Inputs { kLogit, kLabel, kState, kInputs };
enum Outputs { kError, kReport, kOutputs };

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  LossOptions options;
  if (data == nullptr || !ParseLoss(data->options, data->length, &options)) {
    return Refuse(kName, "invalid options");
  }
  if (InputCount(node) != kInputs || OutputCount(node) != kOutputs) {
    return Refuse(kName, "wrong number of tensors");
  }
  const TfLiteEvalTensor* state = Input(context, node, kState);
  const uint32_t words = ElementCount(state);
  if (!IsTensor(Input(context, node, kLogit), kTfLiteInt8, 1) ||
      !IsTensor(Input(context, node, kLabel), kTfLiteInt32, 1) || words < kStateWords ||
      !IsWritable(state, kTfLiteInt32, words) ||
      !IsWritable(Output(context, node, kError), kTfLiteFloat32, 1) ||
      !IsWritable(Output(context, node, kReport), kTfLiteFloat32, 4)) {
    return Refuse(kName, "a tensor does not fit");
  }
  return kTfLiteOk;
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  LossOptions options;
  if (!ParseLoss(data->options, data->length, &options)) return kTfLiteError;
  const bool known_label = LogisticStep(
      options, *Data<int8_t>(Input(context, node, kLogit)),
      *Data<int32_t>(Input(context, node, kLabel)), Data<State>(Input(context, node, kState)),
      Data<float>(Output(context, node, kError)), Data<Report>(Output(context, node, kReport)));
  return known_label ? kTfLiteOk : Refuse(kName, "the label is neither 0 nor 1");
}

}  // namespace

const OpDefinition kLogisticXentOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
