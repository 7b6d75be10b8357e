// TFODL_CONV_2D: see conv_fwd.h for its tensors.
#include "tfodl/kernels/conv_2d.h"

#include "tfodl/ops/conv_fwd.h"
#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_CONV_2D";

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  return PrepareConv(context, node, LayerKind::kConv2D, kName);
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  Conv2D(ReadConv(GetOpData(node)->options), InputData<int8_t>(context, node, kConvX),
         InputData<int8_t>(context, node, kConvWeights),
         InputData<int32_t>(context, node, kConvBias), OutputData<int16_t>(context, node, 1),
         OutputData<int8_t>(context, node, 0));
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kConv2DOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
