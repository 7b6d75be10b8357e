// TFODL_AVERAGE_POOL_2D_BWD: see pool_bwd.h for its tensors.
#include "tfodl/kernels/average_pool_2d_backward.h"
#include "tfodl/ops/ops.h"
#include "tfodl/ops/pool_bwd.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_AVERAGE_POOL_2D_BWD";

template <class Error>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  return PreparePoolBwd<Error>(context, node, false, kName);
}

template <class Error>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const PoolTensors<Error> tensors = GetPoolTensors<Error>(context, node);
  if (tensors.state->active == 0) return kTfLiteOk;
  const PoolOptions options = ReadPool(GetOpData(node)->options);
  if (PreparePoolError(options, tensors)) {
    AveragePool2DBackward(options, tensors.error, tensors.error_x);
  }
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kAveragePool2DBwdOp = {kName, InitOpData, Prepare<float>, Invoke<float>};
const OpDefinition kAveragePool2DBwdBf16Op = {"TFODL_AVERAGE_POOL_2D_BWD_BF16", InitOpData, Prepare<Bfloat16>,
                                              Invoke<Bfloat16>};

}  // namespace tfodl
