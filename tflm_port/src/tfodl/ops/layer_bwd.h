// Glue shared by the three weighted backward ops.
//
// inputs: error, state, x, y, weights, bias, residual, [masks]; outputs: [error_x], [scratch],
// which is there when ScratchWords is not 0.
#ifndef TFODL_OPS_LAYER_BWD_H_
#define TFODL_OPS_LAYER_BWD_H_

#include "tfodl/ops/op.h"
#include "tfodl/options.h"

namespace tfodl {

template <class Error>
TfLiteStatus PrepareLayerBwd(TfLiteContext* context, TfLiteNode* node, LayerKind kind,
                             const char* name);
template <class Error>
TfLiteStatus InvokeLayerBwd(TfLiteContext* context, TfLiteNode* node, LayerKind kind);

}  // namespace tfodl

#endif  // TFODL_OPS_LAYER_BWD_H_
