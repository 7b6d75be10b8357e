// TFODL_FULLY_CONNECTED_BWD: see layer_bwd.h for its tensors and kernels/fully_connected_backward.h
// for what it computes.
#include "tfodl/ops/layer_bwd.h"
#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_FULLY_CONNECTED_BWD";
const char kBf16Name[] = "TFODL_FULLY_CONNECTED_BWD_BF16";

template <class Error>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  return PrepareLayerBwd<Error>(context, node, LayerKind::kFullyConnected,
                                NameOf<Error>(kName, kBf16Name));
}

template <class Error>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  return InvokeLayerBwd<Error>(context, node, LayerKind::kFullyConnected);
}

}  // namespace

const OpDefinition kFullyConnectedBwdOp = {kName, InitOpData, Prepare<float>, Invoke<float>};
const OpDefinition kFullyConnectedBwdBf16Op = {kBf16Name, InitOpData,
                                               Prepare<Bfloat16>, Invoke<Bfloat16>};

}  // namespace tfodl
