// TFODL_LOGISTIC_XENT: sigmoid and binary cross entropy, for two classes and one logit.
//
// inputs: logit (int8, one), label (int32 [1]: 0 or 1), state; outputs: error (one), report.
#include "tfodl/loss_step.h"
#include "tfodl/ops/loss.h"
#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_LOGISTIC_XENT";
const char kBf16Name[] = "TFODL_LOGISTIC_XENT_BF16";

template <class Error>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  LossOptions options;
  if (data == nullptr || !ParseLoss(data->options, data->length, &options)) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "invalid options");
  }
  if (ElementCount(Input(context, node, kLossOutput)) != 1) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "a tensor does not fit");
  }
  return PrepareLoss<Error>(context, node, kLossInputs, NameOf<Error>(kName, kBf16Name));
}

template <class Error>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  LossOptions options;
  if (!ParseLoss(data->options, data->length, &options)) return kTfLiteError;
  const LossTensors<Error> t = GetLossTensors<Error>(context, node);
  const bool known_label =
      LogisticStep(options, *t.output, t.label, t.state, t.error, t.report);
  return known_label ? kTfLiteOk
                     : Refuse(NameOf<Error>(kName, kBf16Name), "the label is neither 0 nor 1");
}

}  // namespace

const OpDefinition kLogisticXentOp = {kName, InitOpData, Prepare<float>, Invoke<float>};
const OpDefinition kLogisticXentBf16Op = {kBf16Name, InitOpData,
                                                     Prepare<Bfloat16>, Invoke<Bfloat16>};

}  // namespace tfodl
