// TFODL_CONV_2D_BWD: see layer_bwd.h for its tensors and kernels/conv_2d_backward.h for what it computes.
#include "tfodl/ops/layer_bwd.h"
#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_CONV_2D_BWD";

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  return PrepareLayerBwd(context, node, LayerKind::kConv2D, kName);
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  return InvokeLayerBwd(context, node, LayerKind::kConv2D);
}

}  // namespace

const OpDefinition kConv2DBwdOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
