// TFODL_ADD_BWD: the error of a sum belongs to each summand, whatever their scales. Also of RELU,
// RELU6 and QUANTIZE, which have one input.
//
// inputs: error, state, y; outputs: [error_2]. What the activation lets pass stays in `error`, which
// becomes the error of the first summand; error_2 is a copy for the second.
#include <string.h>

#include "tfodl/join_options.h"
#include "tfodl/ops/ops.h"
#include "tfodl/ops/pool_bwd.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_ADD_BWD";

enum Inputs { kError, kState, kY, kInputs };

template <class Error>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  AddOptions options;
  if (data == nullptr || !ParseAdd(data->options, data->length, &options)) {
    return Refuse(kName, "invalid options");
  }
  if (InputCount(node) != kInputs || OutputCount(node) > 1) {
    return Refuse(kName, "wrong number of tensors");
  }
  if (!IsState(Input(context, node, kState))) {
    return Refuse(kName, "the state tensor does not fit");
  }
  if (!IsWritable(Input(context, node, kError), TypeOfErrors<Error>(), options.count) ||
      !IsTensor(Input(context, node, kY), kTfLiteInt8, options.count)) {
    return Refuse(kName, "an input does not fit");
  }
  if (OutputCount(node) == 1 &&
      !IsWritable(Output(context, node, 0), TypeOfErrors<Error>(), options.count)) {
    return Refuse(kName, "an output does not fit");
  }
  return kTfLiteOk;
}

template <class Error>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  State* state = Data<State>(Input(context, node, kState));
  if (state->active == 0) return kTfLiteOk;
  const OpData* data = GetOpData(node);
  AddOptions options;
  if (!ParseAdd(data->options, data->length, &options)) return kTfLiteError;
  Error* error = Data<Error>(Input(context, node, kError));
  // For the mask of its activation a sum is a pool with a window of one element.
  PoolOptions pool{};
  pool.out_h = pool.out_w = 1;
  pool.in_c = options.count;
  pool.act_min = options.act_min;
  pool.act_max = options.act_max;
  const PoolTensors<Error> tensors = {state, error, nullptr, Data<int8_t>(Input(context, node, kY)),
                               nullptr};
  if (PreparePoolError(pool, tensors) && OutputCount(node) == 1) {
    memcpy(Data<Error>(Output(context, node, 0)), error, options.count * sizeof *error);
  }
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kAddBwdOp = {kName, InitOpData, Prepare<float>, Invoke<float>};
const OpDefinition kAddBwdBf16Op = {"TFODL_ADD_BWD_BF16", InitOpData, Prepare<Bfloat16>,
                                    Invoke<Bfloat16>};

}  // namespace tfodl
