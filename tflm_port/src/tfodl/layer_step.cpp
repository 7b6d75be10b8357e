#include "tfodl/layer_step.h"

#include "tfodl/float_math.h"
#include "tfodl/kernels/conv_2d_backward.h"
#include "tfodl/kernels/delta.h"
#include "tfodl/kernels/depthwise_conv_2d_backward.h"
#include "tfodl/kernels/fully_connected_backward.h"
#include "tfodl/kernels/integer_error.h"
#include "tfodl/kernels/sparsify.h"
#include "tfodl/kernels/update.h"

namespace tfodl {
namespace {

// k of the contract's step 3. Updates y_max.
uint32_t EntriesToKeep(const LayerOptions& options, float y_sum, uint32_t count, State* state) {
  if (options.sparsifier == kDense) return count;
  if (options.sparsifier == kMeProp) return CountOfFraction(options.s_min, count);
  float* y_max = YMax(state) + options.layer;
  if (y_sum > *y_max) *y_max = y_sum;
  const float share =
      *y_max > 0.0f ? y_sum * (options.s_max - options.s_min) / *y_max : 0.0f;
  return CountOfFraction((options.s_min + share) * options.damping, count);
}

// Of the entries of `delta` that are kept, those whose neuron may update. Where fewer than
// `entries.kept` are non-zero, the entries kept beside them are the first zeros in scan order.
Entries OfNeuronsThatUpdate(const Layer& layer, const float* delta, const Entries& entries) {
  if (layer.mask == nullptr) return entries;
  const uint32_t count = layer.OutputCount();
  uint32_t zeros_kept = entries.kept - entries.non_zero;
  Entries updating = {0, 0};
  uint32_t neuron = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const bool is_non_zero = MagnitudeBits(delta[i]) != 0;
    const bool is_kept = is_non_zero || zeros_kept > 0;
    if (!is_non_zero && zeros_kept > 0) --zeros_kept;
    if (is_kept && layer.MayUpdate(neuron)) {
      ++updating.kept;
      updating.non_zero += is_non_zero;
    }
    if (++neuron == layer.options.out_c) neuron = 0;
  }
  return updating;
}

void RunBackwardKernel(LayerKind kind, const BackwardArgs& args, WeightUpdater* updater) {
  switch (kind) {
    case LayerKind::kFullyConnected:
      FullyConnectedBackward(args, updater);
      break;
    case LayerKind::kConv2D:
      Conv2DBackward(args, updater);
      break;
    case LayerKind::kDepthwiseConv2D:
      DepthwiseConv2DBackward(args, updater);
      break;
  }
}

}  // namespace

bool SelectErrors(const Layer& layer, const int8_t* y, float* error, State* state,
                  Selection* selection) {
  const LayerOptions& options = layer.options;
  const uint32_t count = layer.OutputCount();
  const ErrorSummary found = MaskError(y, options.act_min, options.act_max, count, error);
  if (!IsFinite(found.sum)) {
    AbandonStep(state);
    return false;
  }
  Entries entries = {EntriesToKeep(options, found.sum, count, state), found.non_zero};
  if (entries.non_zero > entries.kept) {
    KeepLargest(error, count, entries.kept, found.largest);
    entries.non_zero = entries.kept;
  }
  selection->largest = found.largest;
  selection->entries = entries;
  selection->updating = layer.Has(kUpdateWeights) ? OfNeuronsThatUpdate(layer, error, entries)
                                                  : Entries{0, 0};
  return true;
}

void CountWork(const Layer& layer, LayerKind kind, const Selection& selection, State* state) {
  Entries work = selection.updating;
  if (layer.Has(kPropagate)) {
    work.kept += selection.entries.kept;
    work.non_zero += selection.entries.non_zero;
  }
  const uint32_t fan_in = FanIn(layer.options, kind);
  AddToCounter(state->backward_macs, uint64_t{work.kept} * fan_in);
  AddToCounter(state->backward_macs_nonzero, uint64_t{work.non_zero} * fan_in);
}

void LayerStep(const Layer& layer, LayerKind kind, const LayerTensors& tensors, State* state) {
  if (state->active == 0) return;
  const LayerOptions& options = layer.options;
  Selection selection;
  if (!SelectErrors(layer, tensors.y, tensors.error, state, &selection)) return;
  ErrorUnit unit;
  ErrorList list = {};
  if (kind != LayerKind::kFullyConnected && IsSparse(options, selection.entries.non_zero)) {
    list = ListErrors(layer, kind, tensors.error, &unit);
  } else {
    unit = ErrorUnitOf(layer, kind, tensors.error, selection.largest);
  }
  if (unit.unit == 0.0f) {
    AbandonStep(state);
    return;
  }
  CountWork(layer, kind, selection, state);

  int8_t* weights = tensors.weights;
  int8_t* residual = tensors.residual;
  if (layer.Has(kAccumulate)) {  // sums are updated as weights with a residual are
    weights = residual;
    if (residual != nullptr) residual += SummedNeurons(layer, kind) * FanIn(options, kind);
  }
  const float rate = state->learning_rate * state->rate_factor;
  WeightUpdater updater(state->rng, weights, residual);
  const BackwardArgs args = {layer,           rate,         tensors.error,   unit,           list,
                             tensors.x,       tensors.weights, tensors.bias, tensors.error_x,
                             tensors.scratch};
  RunBackwardKernel(kind, args, &updater);
  state->rng = updater.rng();
  state->saturated += updater.saturated();
}

}  // namespace tfodl
