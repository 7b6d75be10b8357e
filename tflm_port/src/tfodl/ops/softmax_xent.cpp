// TFODL_SOFTMAX_XENT: loss, output error and the decision whether this sample trains.
//
// inputs: logits (int8), label (int32 [1]), state; outputs: error (one per class), report.
#include "tfodl/ops/loss.h"
#include "tfodl/ops/ops.h"
#include "tfodl/options.h"
#include "tfodl/xent_step.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_SOFTMAX_XENT";
const char kBf16Name[] = "TFODL_SOFTMAX_XENT_BF16";

template <class Error>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  Xent xent;
  if (data == nullptr || !ParseXent(data->options, data->length, &xent)) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "invalid options");
  }
  return PrepareLoss<Error>(context, node, kLossInputs, NameOf<Error>(kName, kBf16Name));
}

template <class Error>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const LossTensors<Error> t = GetLossTensors<Error>(context, node);
  const bool known_label = XentStep(ReadXent(GetOpData(node)->options), t.output, t.count, t.label,
                                    t.state, t.error, t.report);
  if (known_label) return kTfLiteOk;
  return Refuse(NameOf<Error>(kName, kBf16Name), "the label is not a class of the model");
}

}  // namespace

const OpDefinition kSoftmaxXentOp = {kName, InitOpData, Prepare<float>, Invoke<float>};
const OpDefinition kSoftmaxXentBf16Op = {kBf16Name, InitOpData,
                                                    Prepare<Bfloat16>, Invoke<Bfloat16>};

}  // namespace tfodl
