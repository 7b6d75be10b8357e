// TFODL_ADD_ERRORS: sums up the errors of a tensor that several ops read.
//
// inputs: sum, state, other; no outputs. `sum` is overwritten; it may be `other`.
#include "tfodl/kernels/add_errors.h"

#include "tfodl/ops/ops.h"
#include "tfodl/state.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_ADD_ERRORS";
const char kBf16Name[] = "TFODL_ADD_ERRORS_BF16";

enum Inputs { kSum, kState, kOther, kInputs };

template <class Error>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  if (!HasVersionOnly(GetOpData(node))) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "invalid options");
  }
  if (InputCount(node) != kInputs || OutputCount(node) != 0) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "wrong number of tensors");
  }
  if (!IsState(Input(context, node, kState))) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "the state tensor does not fit");
  }
  const uint32_t count = ElementCount(Input(context, node, kSum));
  if (!IsWritable(Input(context, node, kSum), TypeOfErrors<Error>(), count) ||
      !IsTensor(Input(context, node, kOther), TypeOfErrors<Error>(), count)) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "an input does not fit");
  }
  return kTfLiteOk;
}

template <class Error>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  if (InputData<State>(context, node, kState)->active == 0) return kTfLiteOk;
  const TfLiteEvalTensor* sum = Input(context, node, kSum);
  AddErrors(InputData<Error>(context, node, kOther), ElementCount(sum), Data<Error>(sum));
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kAddErrorsOp = {kName, InitOpData, Prepare<float>, Invoke<float>};
const OpDefinition kAddErrorsBf16Op = {kBf16Name, InitOpData, Prepare<Bfloat16>, Invoke<Bfloat16>};

}  // namespace tfodl
