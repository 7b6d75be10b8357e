// TFODL_SOFTMAX_XENT: loss, output error and the decision whether this sample trains.
//
// inputs: logits (int8), label (int32 [1]), state; outputs: error (float32, one per class), report.
#include "tfodl/ops/ops.h"
#include "tfodl/options.h"
#include "tfodl/state.h"
#include "tfodl/xent_step.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_SOFTMAX_XENT";

enum Inputs { kLogits, kLabel, kState, kInputs };
enum Outputs { kError, kReport, kOutputs };

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  Xent xent;
  if (data == nullptr || !ParseXent(data->options, data->length, &xent)) {
    return Refuse(kName, "invalid options");
  }
  if (InputCount(node) != kInputs || OutputCount(node) != kOutputs) {
    return Refuse(kName, "wrong number of tensors");
  }
  const TfLiteEvalTensor* logits = Input(context, node, kLogits);
  const TfLiteEvalTensor* state = Input(context, node, kState);
  const uint32_t classes = ElementCount(logits);
  const uint32_t words = ElementCount(state);
  if (!IsTensor(logits, kTfLiteInt8, classes) ||
      !IsTensor(Input(context, node, kLabel), kTfLiteInt32, 1) || words < kStateWords ||
      !IsWritable(state, kTfLiteInt32, words) ||
      !IsWritable(Output(context, node, kError), kTfLiteFloat32, classes) ||
      !IsWritable(Output(context, node, kReport), kTfLiteFloat32, 4)) {
    return Refuse(kName, "a tensor does not fit");
  }
  return kTfLiteOk;
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* logits = Input(context, node, kLogits);
  const bool known_label = XentStep(
      ReadXent(GetOpData(node)->options), Data<int8_t>(logits), ElementCount(logits),
      *Data<int32_t>(Input(context, node, kLabel)), Data<State>(Input(context, node, kState)),
      Data<float>(Output(context, node, kError)), Data<Report>(Output(context, node, kReport)));
  return known_label ? kTfLiteOk : Refuse(kName, "the label is not a class of the model");
}

}  // namespace

const OpDefinition kSoftmaxXentOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
