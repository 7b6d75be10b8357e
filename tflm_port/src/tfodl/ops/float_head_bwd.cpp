// TFODL_FLOAT_HEAD_BWD: the backward op of TFODL_FLOAT_HEAD; see kernels/float_head.h.
//
// inputs: error, state, x (int8), y (int8), weights (float32), bias (float32); outputs: [error_x],
// scratch (float32, as many as x has elements). The options are LayerOptions.
#include "tfodl/kernels/float_head.h"
#include "tfodl/layer_step.h"
#include "tfodl/ops/ops.h"
#include "tfodl/options.h"
#include "tfodl/state.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_FLOAT_HEAD_BWD";
constexpr LayerKind kKind = LayerKind::kFullyConnected;

enum Inputs { kError, kState, kX, kY, kWeights, kBias, kInputs };

bool Parse(const OpData* data, Layer* layer) {
  constexpr uint32_t kNeeded = kUpdateWeights | kUpdateBias;
  return data != nullptr && ParseLayer(data->options, data->length, kKind, layer) &&
         (layer->options.flags & ~static_cast<uint32_t>(kPropagate | kMasked)) == kNeeded;
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  Layer layer;
  if (!Parse(GetOpData(node), &layer)) return Refuse(kName, "invalid options");
  const LayerOptions& options = layer.options;
  const int scratch = layer.Has(kPropagate) ? 1 : 0;
  if (InputCount(node) != kInputs || OutputCount(node) != scratch + 1) {
    return Refuse(kName, "wrong number of tensors");
  }
  if (!IsState(Input(context, node, kState), options.layer + 1)) {
    return Refuse(kName, "the state tensor does not fit");
  }
  if (!IsWritable(Input(context, node, kError), kTfLiteFloat32, options.out_c) ||
      !IsTensor(Input(context, node, kX), kTfLiteInt8, options.in_c) ||
      !IsTensor(Input(context, node, kY), kTfLiteInt8, options.out_c) ||
      !IsWritable(Input(context, node, kWeights), kTfLiteFloat32, options.in_c * options.out_c) ||
      !IsWritable(Input(context, node, kBias), kTfLiteFloat32, options.out_c) ||
      (scratch == 1 && !IsWritable(Output(context, node, 0), kTfLiteFloat32, options.in_c)) ||
      !IsWritable(Output(context, node, scratch), kTfLiteFloat32, options.in_c)) {
    return Refuse(kName, "a tensor does not fit");
  }
  return kTfLiteOk;
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  State* state = InputData<State>(context, node, kState);
  if (state->active == 0) return kTfLiteOk;
  const Layer layer = ReadLayer(GetOpData(node)->options);
  float* const error = InputData<float>(context, node, kError);
  Selection selection;
  if (!SelectErrors(layer, kKind, InputData<int8_t>(context, node, kY), error, state,
                    &selection)) {
    return kTfLiteOk;
  }
  CountWork(layer, kKind, selection, state);
  const bool propagates = layer.Has(kPropagate);
  float* const centered = OutputData<float>(context, node, propagates ? 1 : 0);
  CenterInputs(InputData<int8_t>(context, node, kX), layer.options.x_zero_point,
               layer.options.in_c, centered);
  const FloatHeadTensors tensors = {centered, InputData<float>(context, node, kWeights),
                                    InputData<float>(context, node, kBias),
                                    propagates ? OutputData<float>(context, node, 0) : nullptr};
  FloatHeadBackward(layer, state->learning_rate * state->rate_factor, error, tensors);
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kFloatHeadBwdOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
