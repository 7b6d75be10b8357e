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
  Conv2D(ReadConv(GetOpData(node)->options), Data<int8_t>(Input(context, node, kConvX)),
         Data<int8_t>(Input(context, node, kConvWeights)),
         Data<int32_t>(Input(context, node, kConvBias)), Data<int16_t>(Output(context, node, 1)),
         Data<int8_t>(Output(context, node, 0)));
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kConv2DOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
