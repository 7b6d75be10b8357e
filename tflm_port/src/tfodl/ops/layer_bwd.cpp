#include "tfodl/ops/layer_bwd.h"

#include "tfodl/layer_step.h"
#include "tfodl/state.h"

namespace tfodl {
namespace {

// With kVariableMask the masks are one input more.
enum Inputs { kError, kState, kX, kY, kWeights, kBias, kResiduals, kInputs };

bool HasResidual(const Layer& layer) {
  return layer.Has(kResidual) || (layer.Has(kAccumulate) && layer.Has(kUpdateWeights));
}

// An optional input has to be there when it is needed, and has to fit when it is there.
bool IsOptionalTensor(const TfLiteEvalTensor* tensor, bool needed, uint32_t elements) {
  return tensor == nullptr ? !needed : IsTensor(tensor, kTfLiteInt8, elements);
}

}  // namespace

template <class Error>
TfLiteStatus PrepareLayerBwd(TfLiteContext* context, TfLiteNode* node, LayerKind kind,
                             const char* name) {
  const OpData* data = GetOpData(node);
  Layer layer;
  if (data == nullptr || !ParseLayer(data->options, data->length, kind, &layer)) {
    return Refuse(name, "invalid options");
  }
  const LayerOptions& options = layer.options;
  const bool propagates = layer.Has(kPropagate);
  const bool updates_weights = layer.Has(kUpdateWeights);
  const uint32_t fan_in = FanIn(options, kind);
  const uint32_t weights = fan_in * options.out_c;
  const bool has_activation = options.act_min >= -128 || options.act_max <= 127;
  const uint32_t scratch = ScratchWords<Error>(layer, kind);
  const int outputs = (propagates ? 1 : 0) + (scratch > 0 ? 1 : 0);
  const int inputs = kInputs + (layer.Has(kVariableMask) ? 1 : 0);
  if (InputCount(node) != inputs || OutputCount(node) != outputs) {
    return Refuse(name, "wrong number of tensors");
  }

  if (!IsState(Input(context, node, kState), options.layer + 1)) {
    return Refuse(name, "the state tensor does not fit");
  }
  if (!IsWritable(Input(context, node, kError), TypeOfErrors<Error>(), layer.OutputCount()) ||
      !IsOptionalTensor(Input(context, node, kX), updates_weights, layer.InputCount()) ||
      !IsOptionalTensor(Input(context, node, kY), has_activation, layer.OutputCount()) ||
      !IsOptionalTensor(Input(context, node, kWeights), propagates || updates_weights, weights)) {
    return Refuse(name, "an input does not fit");
  }
  const bool accumulates = layer.Has(kAccumulate);
  const uint32_t rows = accumulates ? SummedNeurons(layer, kind) : options.out_c;
  const uint32_t bytes = accumulates ? 2 * rows * fan_in : weights;
  if (updates_weights && !IsWritable(Input(context, node, kWeights), kTfLiteInt8, weights)) {
    return Refuse(name, "the weights are constant");
  }
  if ((layer.Has(kUpdateBias) && !IsWritable(Input(context, node, kBias), kTfLiteInt32, rows)) ||
      (HasResidual(layer) &&
       !IsWritable(Input(context, node, kResiduals), kTfLiteInt8, bytes))) {
    return Refuse(name, "a variable does not fit");
  }
  if (layer.Has(kVariableMask)) {
    const TfLiteEvalTensor* masks = Input(context, node, kInputs);
    const uint32_t bytes = ElementCount(masks);
    if (!IsWritable(masks, kTfLiteInt8, bytes) || layer.mask_offset > bytes ||
        MaskBytes(options.out_c) > bytes - layer.mask_offset) {
      return Refuse(name, "a variable does not fit");
    }
  }
  int position = 0;
  if ((propagates &&
       !IsWritable(Output(context, node, position++), TypeOfErrors<Error>(), layer.InputCount())) ||
      (scratch > 0 && !IsWritable(Output(context, node, position), kTfLiteFloat32, scratch))) {
    return Refuse(name, "an output does not fit");
  }
  return kTfLiteOk;
}

template <class Error>
TfLiteStatus InvokeLayerBwd(TfLiteContext* context, TfLiteNode* node, LayerKind kind) {
  State* state = InputData<State>(context, node, kState);
  if (state->active == 0) return kTfLiteOk;
  Layer layer = ReadLayer(GetOpData(node)->options);
  if (layer.Has(kVariableMask)) {
    layer.mask = InputData<uint8_t>(context, node, kInputs) + layer.mask_offset;
  }
  LayerTensorsOf<Error> tensors;
  tensors.error = InputData<Error>(context, node, kError);
  tensors.x = InputData<int8_t>(context, node, kX);
  tensors.y = InputData<int8_t>(context, node, kY);
  tensors.weights = InputData<int8_t>(context, node, kWeights);
  tensors.bias = InputData<int32_t>(context, node, kBias);
  tensors.residual =
      HasResidual(layer) ? InputData<int8_t>(context, node, kResiduals) : nullptr;
  int position = 0;
  tensors.error_x =
      layer.Has(kPropagate) ? OutputData<Error>(context, node, position++) : nullptr;
  tensors.scratch = OutputData<int32_t>(context, node, position);
  LayerStep(layer, kind, tensors, state);
  return kTfLiteOk;
}

template TfLiteStatus PrepareLayerBwd<float>(TfLiteContext* context, TfLiteNode* node,
                                             LayerKind kind, const char* name);
template TfLiteStatus PrepareLayerBwd<Bfloat16>(TfLiteContext* context, TfLiteNode* node,
                                                LayerKind kind, const char* name);
template TfLiteStatus InvokeLayerBwd<float>(TfLiteContext* context, TfLiteNode* node,
                                            LayerKind kind);
template TfLiteStatus InvokeLayerBwd<Bfloat16>(TfLiteContext* context, TfLiteNode* node,
                                               LayerKind kind);

}  // namespace tfodl
