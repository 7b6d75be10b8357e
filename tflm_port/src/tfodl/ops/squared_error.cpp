// TFODL_SQUARED_ERROR: mean squared error, for regression and for autoencoders.
//
// inputs: output (int8), label (int32 [1]: negative only infers), state, target (float32, or int8 as
// the input of an autoencoder); outputs: error (float32, one per output), report.
#include "tfodl/loss_step.h"
#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_SQUARED_ERROR";

enum Inputs { kOutput, kLabel, kState, kTarget, kInputs };
enum Outputs { kError, kReport, kOutputs };

bool IsInt8Tensor(const TfLiteEvalTensor* tensor) {
  return tensor != nullptr && tensor->type == kTfLiteInt8;
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  LossOptions options;
  if (data == nullptr || !ParseLoss(data->options, data->length, &options)) {
    return Refuse(kName, "invalid options");
  }
  if (InputCount(node) != kInputs || OutputCount(node) != kOutputs) {
    return Refuse(kName, "wrong number of tensors");
  }
  const TfLiteEvalTensor* output = Input(context, node, kOutput);
  const TfLiteEvalTensor* target = Input(context, node, kTarget);
  const TfLiteEvalTensor* state = Input(context, node, kState);
  const uint32_t count = ElementCount(output);
  const uint32_t words = ElementCount(state);
  if (!IsTensor(output, kTfLiteInt8, count) ||
      !IsTensor(Input(context, node, kLabel), kTfLiteInt32, 1) || words < kStateWords ||
      !IsWritable(state, kTfLiteInt32, words) ||
      !IsTensor(target, IsInt8Tensor(target) ? kTfLiteInt8 : kTfLiteFloat32, count) ||
      !IsWritable(Output(context, node, kError), kTfLiteFloat32, count) ||
      !IsWritable(Output(context, node, kReport), kTfLiteFloat32, 4)) {
    return Refuse(kName, "a tensor does not fit");
  }
  return kTfLiteOk;
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  LossOptions options;
  if (!ParseLoss(data->options, data->length, &options)) return kTfLiteError;
  const TfLiteEvalTensor* output = Input(context, node, kOutput);
  const TfLiteEvalTensor* target = Input(context, node, kTarget);
  const bool is_int8 = IsInt8Tensor(target);
  SquaredErrorStep(options, Data<int8_t>(output), ElementCount(output),
                   *Data<int32_t>(Input(context, node, kLabel)),
                   is_int8 ? Data<int8_t>(target) : nullptr,
                   is_int8 ? nullptr : Data<float>(target),
                   Data<State>(Input(context, node, kState)),
                   Data<float>(Output(context, node, kError)),
                   Data<Report>(Output(context, node, kReport)));
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kSquaredErrorOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
