// TFODL_ACCUMULATE: behind the backward ops, where the gradients of several samples change the
// weights together; see accumulate_step.h for what it computes.
//
// inputs: state, count (int32 [1]), and of every layer weights, sums, bias, sums of the bias; no
// outputs. Of a layer either pair may be absent.
#include "tfodl/accumulate_step.h"
#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_ACCUMULATE";

enum Inputs { kState, kCount, kLayers };
enum LayerInputs { kWeights, kSums, kBias, kBiasSums, kLayerInputs };

// Both are there and fit, or neither.
bool IsPair(const TfLiteEvalTensor* values, const TfLiteEvalTensor* sums, TfLiteType type,
            uint32_t count, uint32_t sum_count) {
  if (values == nullptr && sums == nullptr) return true;
  return sum_count > 0 && IsWritable(values, type, count) && IsWritable(sums, type, sum_count);
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  AccumulateOptions options;
  if (data == nullptr || !ParseAccumulate(data->options, data->length, &options)) {
    return Refuse(kName, "invalid options");
  }
  // One layer takes at least 12 bytes of options, so their number is small.
  if (InputCount(node) != kLayers + kLayerInputs * static_cast<int>(options.n_layers) ||
      OutputCount(node) != 0) {
    return Refuse(kName, "wrong number of tensors");
  }
  if (!IsState(Input(context, node, kState)) ||
      !IsWritable(Input(context, node, kCount), kTfLiteInt32, 1)) {
    return Refuse(kName, "a tensor does not fit");
  }
  const uint8_t* blob = data->options + sizeof options;
  int first = kLayers;
  for (uint32_t i = 0; i < options.n_layers; ++i, first += kLayerInputs) {
    const Sums sums = NextSums(&blob);
    const uint32_t fan_in = sums.layer.fan_in;
    if (!IsPair(Input(context, node, first + kWeights), Input(context, node, first + kSums),
                kTfLiteInt8, sums.layer.neurons * fan_in, 2 * sums.rows * fan_in) ||
        !IsPair(Input(context, node, first + kBias), Input(context, node, first + kBiasSums),
                kTfLiteInt32, sums.layer.neurons, sums.rows)) {
      return Refuse(kName, "a layer does not fit");
    }
  }
  return kTfLiteOk;
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  State* state = InputData<State>(context, node, kState);
  if (state->active == 0) return kTfLiteOk;
  const OpData* data = GetOpData(node);
  AccumulateOptions options;
  memcpy(&options, data->options, sizeof options);
  if (!CountSample(options, InputData<uint32_t>(context, node, kCount))) return kTfLiteOk;
  const uint8_t* blob = data->options + sizeof options;
  int first = kLayers;
  for (uint32_t i = 0; i < options.n_layers; ++i, first += kLayerInputs) {
    const SumTensors tensors = {InputData<int8_t>(context, node, first + kWeights),
                                InputData<int8_t>(context, node, first + kSums),
                                InputData<int32_t>(context, node, first + kBias),
                                InputData<int32_t>(context, node, first + kBiasSums)};
    ApplySums(NextSums(&blob), options.rule, tensors, state);
  }
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kAccumulateOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
