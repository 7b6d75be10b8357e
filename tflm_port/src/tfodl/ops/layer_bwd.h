// Glue shared by the three weighted backward ops.
//
// inputs: error, state, x, y, weights, bias, residual, [masks]; outputs: [error_x], [scratch].
#ifndef TFODL_OPS_LAYER_BWD_H_
#define TFODL_OPS_LAYER_BWD_H_

#include "tfodl/ops/op.h"
#include "tfodl/options.h"

namespace tfodl {

TfLiteStatus PrepareLayerBwd(TfLiteContext* context, TfLiteNode* node, LayerKind kind,
                             const char* name);
TfLiteStatus InvokeLayerBwd(TfLiteContext* context, TfLiteNode* node, LayerKind kind);

}  // namespace tfodl

#endif  // TFODL_OPS_LAYER_BWD_H_
