// TFODL_FULLY_CONNECTED_BWD: see layer_bwd.h for its tensors and kernels/fully_connected_backward.h for what it computes.
#include "tfodl/ops/layer_bwd.h"
#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_FULLY_CONNECTED_BWD";

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  return PrepareLayerBwd(context, node, LayerKind::kFullyConnected, kName);
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  return InvokeLayerBwd(context, node, LayerKind::kFullyConnected);
}

}  // namespace

const OpDefinition kFullyConnectedBwdOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
