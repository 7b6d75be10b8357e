// TFODL_ADD_BWD: the error of a sum belongs to each summand, whatever their scales. Also of RELU,
// RELU6 and QUANTIZE, which have one input.
//
// inputs: error, state, y; outputs: [error_2]. What the activation lets pass stays in `error`,
// which becomes the error of the first summand; error_2 is a copy for the second.
#include <string.h>

#include "tfodl/join_options.h"
#include "tfodl/ops/ops.h"
#include "tfodl/ops/pool_bwd.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_ADD_BWD";
const char kBf16Name[] = "TFODL_ADD_BWD_BF16";

enum Inputs { kError, kState, kY, kInputs };

template <class Error>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  AddOptions options;
  if (data == nullptr || !ParseAdd(data->options, data->length, &options)) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "invalid options");
  }
  if (InputCount(node) != kInputs || OutputCount(node) > 1) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "wrong number of tensors");
  }
  if (!IsState(Input(context, node, kState))) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "the state tensor does not fit");
  }
  if (!IsWritable(Input(context, node, kError), TypeOfErrors<Error>(), options.count) ||
      !IsTensor(Input(context, node, kY), kTfLiteInt8, options.count)) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "an input does not fit");
  }
  if (OutputCount(node) == 1 &&
      !IsWritable(Output(context, node, 0), TypeOfErrors<Error>(), options.count)) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "an output does not fit");
  }
  return kTfLiteOk;
}

template <class Error>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  State* state = InputData<State>(context, node, kState);
  if (state->active == 0) return kTfLiteOk;
  const OpData* data = GetOpData(node);
  AddOptions options;
  if (!ParseAdd(data->options, data->length, &options)) return kTfLiteError;
  Error* error = InputData<Error>(context, node, kError);
  if (MaskOrAbandon(InputData<int8_t>(context, node, kY), options.act_min, options.act_max,
                    options.count, error, state) &&
      OutputCount(node) == 1) {
    memcpy(OutputData<Error>(context, node, 0), error, options.count * sizeof *error);
  }
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kAddBwdOp = {kName, InitOpData, Prepare<float>, Invoke<float>};
const OpDefinition kAddBwdBf16Op = {kBf16Name, InitOpData, Prepare<Bfloat16>, Invoke<Bfloat16>};

}  // namespace tfodl
