#include "tfodl/ops/pool_bwd.h"

#include "tfodl/float_math.h"
#include "tfodl/kernels/delta.h"

namespace tfodl {
namespace {

enum Inputs { kError, kState, kX, kY, kInputs };

}  // namespace

template <class Error>
TfLiteStatus PreparePoolBwd(TfLiteContext* context, TfLiteNode* node, bool needs_x,
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
      !(x == nullptr ? !needs_x : IsTensor(x, kTfLiteInt8, in_count)) ||
      !(y == nullptr ? !has_activation : IsTensor(y, kTfLiteInt8, out_count)) ||
      !IsWritable(Output(context, node, 0), TypeOfErrors<Error>(), in_count)) {
    return Refuse(name, "a tensor does not fit");
  }
  return kTfLiteOk;
}

template <class Error>
PoolTensors<Error> GetPoolTensors(const TfLiteContext* context, const TfLiteNode* node) {
  return {Data<State>(Input(context, node, kState)),
                     Data<Error>(Input(context, node, kError)),
                     Data<int8_t>(Input(context, node, kX)),
                     Data<int8_t>(Input(context, node, kY)),
                     Data<Error>(Output(context, node, 0))};
}

template <class Error>
bool PreparePoolError(const PoolOptions& options, const PoolTensors<Error>& tensors) {
  const uint32_t count = options.out_h * options.out_w * options.in_c;
  const ErrorSummary error =
      MaskError(tensors.y, options.act_min, options.act_max, count, tensors.error);
  if (IsFinite(error.sum)) return true;
  AbandonStep(tensors.state);
  return false;
}

template TfLiteStatus PreparePoolBwd<float>(TfLiteContext* context, TfLiteNode* node, bool needs_x,
                                            const char* name);
template TfLiteStatus PreparePoolBwd<Bfloat16>(TfLiteContext* context, TfLiteNode* node, bool needs_x,
                                               const char* name);
template PoolTensors<float> GetPoolTensors(const TfLiteContext* context, const TfLiteNode* node);
template PoolTensors<Bfloat16> GetPoolTensors(const TfLiteContext* context, const TfLiteNode* node);
template bool PreparePoolError(const PoolOptions& options, const PoolTensors<float>& tensors);
template bool PreparePoolError(const PoolOptions& options, const PoolTensors<Bfloat16>& tensors);

}  // namespace tfodl
