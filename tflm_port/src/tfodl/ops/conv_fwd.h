// Glue shared by the two convolutions: forward ops that keep their fixed-point multipliers in the
// model, where those of TensorFlow Lite Micro copy them into the arena.
//
// inputs: x, weights, bias; outputs: y, [scratch]: of CONV_2D, and where y is x of
// DEPTHWISE_CONV_2D.
#ifndef TFODL_OPS_CONV_FWD_H_
#define TFODL_OPS_CONV_FWD_H_

#include "tfodl/conv_options.h"
#include "tfodl/ops/op.h"

namespace tfodl {

enum ConvInputs { kConvX, kConvWeights, kConvBias, kConvInputs };

// Whether the output is the input.
bool IsInPlace(const TfLiteNode* node);

TfLiteStatus PrepareConv(TfLiteContext* context, TfLiteNode* node, LayerKind kind,
                         const char* name);

}  // namespace tfodl

#endif  // TFODL_OPS_CONV_FWD_H_
