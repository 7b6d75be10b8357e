#include "tfodl/ops/pool_bwd.h"

#include "tfodl/float_math.h"
#include "tfodl/kernels/delta.h"
#include "tfodl/kernels/pool_2d_backward.h"
#include "tfodl/options.h"

namespace tfodl {
namespace {

enum Inputs { kError, kState, kX, kY, kInputs };

}  // namespace

template <class Error>
bool MaskOrAbandon(const int8_t* y, int32_t act_min, int32_t act_max, uint32_t count, Error* error,
                   State* state) {
  if (IsFinite(MaskError(y, act_min, act_max, count, error).sum)) return true;
  AbandonStep(state);
  return false;
}

template <class Error>
TfLiteStatus PreparePoolBwd(TfLiteContext* context, TfLiteNode* node, bool is_maximum,
                            const char* name) {
  const OpData* data = GetOpData(node);
  PoolOptions options;
  if (data == nullptr || !ParsePool(data->options, data->length, &options)) {
    return Refuse(name, "invalid options");
  }
  if (InputCount(node) != kInputs || OutputCount(node) != 1) {
    return Refuse(name, "wrong number of tensors");
  }
  const uint32_t in_count = options.in_h * options.in_w * options.in_c;
  const uint32_t out_count = options.out_h * options.out_w * options.in_c;
  const bool has_activation = options.act_min >= -128 || options.act_max <= 127;
  const TfLiteEvalTensor* x = Input(context, node, kX);
  const TfLiteEvalTensor* y = Input(context, node, kY);
  if (!IsState(Input(context, node, kState))) {
    return Refuse(name, "the state tensor does not fit");
  }
  if (!IsWritable(Input(context, node, kError), TypeOfErrors<Error>(), out_count) ||
      !(x == nullptr ? !is_maximum : IsTensor(x, kTfLiteInt8, in_count)) ||
      !(y == nullptr ? !has_activation : IsTensor(y, kTfLiteInt8, out_count)) ||
      !IsWritable(Output(context, node, 0), TypeOfErrors<Error>(), in_count)) {
    return Refuse(name, "a tensor does not fit");
  }
  return kTfLiteOk;
}

template <class Error>
TfLiteStatus InvokePoolBwd(TfLiteContext* context, TfLiteNode* node, bool is_maximum) {
  State* const state = InputData<State>(context, node, kState);
  if (state->active == 0) return kTfLiteOk;
  const PoolOptions options = ReadPool(GetOpData(node)->options);
  Error* const error = InputData<Error>(context, node, kError);
  const int8_t* const x = is_maximum ? InputData<int8_t>(context, node, kX) : nullptr;
  const uint32_t count = options.out_h * options.out_w * options.in_c;
  if (MaskOrAbandon(InputData<int8_t>(context, node, kY), options.act_min, options.act_max, count,
                    error, state)) {
    Pool2DBackward(options, error, x, OutputData<Error>(context, node, 0));
  }
  return kTfLiteOk;
}

template bool MaskOrAbandon(const int8_t* y, int32_t act_min, int32_t act_max, uint32_t count,
                            float* error, State* state);
template bool MaskOrAbandon(const int8_t* y, int32_t act_min, int32_t act_max, uint32_t count,
                            Bfloat16* error, State* state);
template TfLiteStatus PreparePoolBwd<float>(TfLiteContext* context, TfLiteNode* node,
                                            bool is_maximum, const char* name);
template TfLiteStatus PreparePoolBwd<Bfloat16>(TfLiteContext* context, TfLiteNode* node,
                                               bool is_maximum, const char* name);
template TfLiteStatus InvokePoolBwd<float>(TfLiteContext* context, TfLiteNode* node,
                                           bool is_maximum);
template TfLiteStatus InvokePoolBwd<Bfloat16>(TfLiteContext* context, TfLiteNode* node,
                                              bool is_maximum);

}  // namespace tfodl
