#include "tfodl/ops/conv_fwd.h"

namespace tfodl {

bool IsInPlace(const TfLiteNode* node) { return node->inputs->data[0] == node->outputs->data[0]; }

TfLiteStatus PrepareConv(TfLiteContext* context, TfLiteNode* node, LayerKind kind,
                         const char* name) {
  const OpData* data = GetOpData(node);
  Conv conv;
  if (data == nullptr || !ParseConv(data->options, data->length, kind, &conv)) {
    return Refuse(name, "invalid options");
  }
  const ConvOptions& o = conv.options;
  const bool is_conv = kind == LayerKind::kConv2D;
  if (InputCount(node) != kConvInputs || OutputCount(node) < 1) {
    return Refuse(name, "wrong number of tensors");
  }
  const bool in_place = IsInPlace(node);
  const bool has_scratch = is_conv || in_place;
  if (OutputCount(node) != (has_scratch ? 2 : 1)) {
    return Refuse(name, "wrong number of tensors");
  }
  if (in_place && (is_conv || !CanWorkInPlace(o))) return Refuse(name, "the output is the input");
  const TfLiteEvalTensor* bias = Input(context, node, kConvBias);
  if (!IsTensor(Input(context, node, kConvX), kTfLiteInt8, o.in_h * o.in_w * o.in_c) ||
      !IsTensor(Input(context, node, kConvWeights), kTfLiteInt8, FanIn(o, kind) * o.out_c) ||
      (bias != nullptr && !IsTensor(bias, kTfLiteInt32, o.out_c))) {
    return Refuse(name, "an input does not fit");
  }
  if (!IsWritable(Output(context, node, 0), kTfLiteInt8, o.out_h * o.out_w * o.y_c)) {
    return Refuse(name, "the output does not fit");
  }
  const uint32_t words = is_conv ? ConvScratchWords(o) : InPlaceScratchWords(o);
  if (has_scratch && !IsWritable(Output(context, node, 1), kTfLiteFloat32, words)) {
    return Refuse(name, "scratch does not fit");
  }
  return kTfLiteOk;
}

}  // namespace tfodl
