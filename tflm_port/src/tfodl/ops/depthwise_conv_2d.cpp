// TFODL_DEPTHWISE_CONV_2D: see conv_fwd.h for its tensors.
#include "tfodl/kernels/depthwise_conv_2d.h"

#include "tfodl/ops/conv_fwd.h"
#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_DEPTHWISE_CONV_2D";

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  return PrepareConv(context, node, LayerKind::kDepthwiseConv2D, kName);
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const Conv conv = ReadConv(GetOpData(node)->options);
  const int8_t* const weights = InputData<int8_t>(context, node, kConvWeights);
  const int32_t* const bias = InputData<int32_t>(context, node, kConvBias);
  int8_t* const y = OutputData<int8_t>(context, node, 0);
  if (IsInPlace(node)) {
    DepthwiseConv2DInPlace(conv, weights, bias, OutputData<int8_t>(context, node, 1), y);
  } else {
    DepthwiseConv2D(conv, InputData<int8_t>(context, node, kConvX), weights, bias, y);
  }
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kDepthwiseConv2DOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
