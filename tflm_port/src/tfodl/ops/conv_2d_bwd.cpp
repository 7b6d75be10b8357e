// TFODL_CONV_2D_BWD: see layer_bwd.h for its tensors and kernels/conv_2d_backward.h for what it
// computes.
#include "tfodl/ops/layer_bwd.h"
#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_CONV_2D_BWD";
const char kBf16Name[] = "TFODL_CONV_2D_BWD_BF16";

template <class Error>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  return PrepareLayerBwd<Error>(context, node, LayerKind::kConv2D,
                                NameOf<Error>(kName, kBf16Name));
}

template <class Error>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  return InvokeLayerBwd<Error>(context, node, LayerKind::kConv2D);
}

}  // namespace

const OpDefinition kConv2DBwdOp = {kName, InitOpData, Prepare<float>, Invoke<float>};
const OpDefinition kConv2DBwdBf16Op = {kBf16Name, InitOpData, Prepare<Bfloat16>, Invoke<Bfloat16>};

}  // namespace tfodl
