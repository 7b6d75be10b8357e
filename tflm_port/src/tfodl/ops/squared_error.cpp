// TFODL_SQUARED_ERROR: mean squared error, for regression and for autoencoders.
//
// inputs: output (int8), label (int32 [1]: negative only infers), state, target (float32, or int8
// as the input of an autoencoder); outputs: error (one per output), report.
#include "tfodl/loss_step.h"
#include "tfodl/ops/loss.h"
#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_SQUARED_ERROR";
const char kBf16Name[] = "TFODL_SQUARED_ERROR_BF16";

enum Inputs { kTarget = kLossInputs, kInputs };

bool IsInt8Tensor(const TfLiteEvalTensor* tensor) {
  return tensor != nullptr && tensor->type == kTfLiteInt8;
}

template <class Error>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  LossOptions options;
  if (data == nullptr || !ParseLoss(data->options, data->length, &options)) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "invalid options");
  }
  const TfLiteEvalTensor* target = Input(context, node, kTarget);
  if (!IsTensor(target, IsInt8Tensor(target) ? kTfLiteInt8 : kTfLiteFloat32,
                ElementCount(Input(context, node, kLossOutput)))) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "a tensor does not fit");
  }
  return PrepareLoss<Error>(context, node, kInputs, NameOf<Error>(kName, kBf16Name));
}

template <class Error>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  LossOptions options;
  if (!ParseLoss(data->options, data->length, &options)) return kTfLiteError;
  const LossTensors<Error> t = GetLossTensors<Error>(context, node);
  const TfLiteEvalTensor* target = Input(context, node, kTarget);
  const bool is_int8 = IsInt8Tensor(target);
  SquaredErrorStep(options, t.output, t.count, t.label,
                   is_int8 ? Data<int8_t>(target) : nullptr,
                   is_int8 ? nullptr : Data<float>(target), t.state, t.error, t.report);
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kSquaredErrorOp = {kName, InitOpData, Prepare<float>, Invoke<float>};
const OpDefinition kSquaredErrorBf16Op = {kBf16Name, InitOpData,
                                                     Prepare<Bfloat16>, Invoke<Bfloat16>};

}  // namespace tfodl
