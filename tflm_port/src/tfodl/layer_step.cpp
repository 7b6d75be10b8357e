#include "tfodl/layer_step.h"

#include "tfodl/float_math.h"
#include "tfodl/kernels/conv_2d_backward.h"
#include "tfodl/kernels/delta.h"
#include "tfodl/kernels/depthwise_conv_2d_backward.h"
#include "tfodl/kernels/fully_connected_backward.h"
#include "tfodl/kernels/input_sums.h"
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
template <class Error>
Entries OfNeuronsThatUpdate(const Layer& layer, const Error* delta, const Entries& entries) {
  if (layer.mask == nullptr) return entries;
  const uint32_t count = layer.OutputCount();
  uint32_t zeros_kept = entries.kept - entries.non_zero;
  Entries updating = {0, 0};
  uint32_t neuron = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const bool is_non_zero = ErrorMagnitude(delta[i]) != 0;
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

template <class Error>
void RunBackwardKernel(LayerKind kind, const BackwardArgs& args,
                       const LayerTensorsOf<Error>& tensors, WeightUpdater* updater) {
  switch (kind) {
    case LayerKind::kFullyConnected:
      FullyConnectedBackward(args, tensors.error, tensors.error_x, updater);
      break;
    case LayerKind::kConv2D:
      Conv2DBackward(args, tensors.error_x, updater);
      break;
    case LayerKind::kDepthwiseConv2D:
      DepthwiseConv2DBackward(args, tensors.error_x, updater);
      break;
  }
}

uint32_t WordsOfSums(const Layer&, LayerKind, const float*) { return 0; }

uint32_t WordsOfSums(const Layer& layer, LayerKind kind, const Bfloat16*) {
  const LayerOptions& o = layer.options;
  if (!layer.Has(kPropagate)) return 0;
  if (kind != LayerKind::kFullyConnected) {
    return InputSums<Bfloat16>::RowsHeld(o) * o.in_w * o.in_c;
  }
  return o.in_c < kInputsAtOnce ? o.in_c : kInputsAtOnce;
}

ErrorList ListSelected(const Layer& layer, LayerKind kind, float* error,
                       const Selection& selection, ErrorUnit* unit) {
  return ListErrors(layer, kind, error, selection.listed, selection.largest, unit);
}

ErrorList ListSelected(const Layer& layer, LayerKind kind, Bfloat16* error,
                       const Selection& selection, ErrorUnit* unit) {
  return ListErrors(layer, kind, error, selection.largest, unit);
}

// Whether ListErrors leaves out all but the largest by itself.
bool ListsLargest(const float*) { return true; }
bool ListsLargest(const Bfloat16*) { return false; }

}  // namespace

template <class Error>
uint32_t ScratchWords(const Layer& layer, LayerKind kind) {
  const bool has_gradient = kind != LayerKind::kFullyConnected && layer.Has(kUpdateWeights);
  const uint32_t gradient = has_gradient ? FanIn(layer.options, kind) : 0;
  const uint32_t sums = WordsOfSums(layer, kind, static_cast<const Error*>(nullptr));
  return gradient > sums ? gradient : sums;
}

template uint32_t ScratchWords<float>(const Layer& layer, LayerKind kind);
template uint32_t ScratchWords<Bfloat16>(const Layer& layer, LayerKind kind);

template <class Error>
bool SelectErrors(const Layer& layer, LayerKind kind, const int8_t* y, Error* error, State* state,
                  Selection* selection) {
  const LayerOptions& options = layer.options;
  const uint32_t count = layer.OutputCount();
  const ErrorSummary found = MaskError(y, options.act_min, options.act_max, count, error);
  if (!IsFinite(found.sum)) {
    AbandonStep(state);
    return false;
  }
  const uint32_t kept = EntriesToKeep(options, found.sum, count, state);
  Entries entries = {kept, found.non_zero < kept ? found.non_zero : kept};
  selection->is_sparse =
      kind != LayerKind::kFullyConnected && IsSparse<Error>(options, entries.non_zero);
  selection->listed = count;
  if (found.non_zero > kept) {
    if (selection->is_sparse && ListsLargest(error) && layer.mask == nullptr) {
      selection->listed = kept;
    } else {
      KeepLargest(error, count, kept, found.largest);
    }
  }
  selection->largest = found.largest;
  selection->entries = entries;
  selection->updating = layer.Has(kUpdateWeights) ? OfNeuronsThatUpdate(layer, error, entries)
                                                  : Entries{0, 0};
  return true;
}

template bool SelectErrors(const Layer& layer, LayerKind kind, const int8_t* y, float* error,
                           State* state, Selection* selection);
template bool SelectErrors(const Layer& layer, LayerKind kind, const int8_t* y, Bfloat16* error,
                           State* state, Selection* selection);

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

template <class Error>
void LayerStep(const Layer& layer, LayerKind kind, const LayerTensorsOf<Error>& tensors,
               State* state) {
  if (state->active == 0) return;
  const LayerOptions& options = layer.options;
  Selection selection;
  if (!SelectErrors(layer, kind, tensors.y, tensors.error, state, &selection)) return;
  BackwardArgs args(layer);
  args.x = tensors.x;
  args.weights = tensors.weights;
  args.bias = tensors.bias;
  args.scratch = tensors.scratch;
  args.learning_rate = state->learning_rate * state->rate_factor;
  args.errors = nullptr;
  if (selection.is_sparse) {
    args.list = ListSelected(layer, kind, tensors.error, selection, &args.unit);
  } else {
    args.unit = ErrorUnitOf(layer, kind, tensors.error, selection.largest);
  }
  if (args.unit.unit == 0.0f) {
    AbandonStep(state);
    return;
  }
  CountWork(layer, kind, selection, state);
  if (selection.is_sparse) {
    SortByNeuron(options, kind, &args.list);
  } else if (kind != LayerKind::kFullyConnected) {
    args.errors = ToIntegerErrors(layer, kind, args.unit, tensors.error);
  }

  int8_t* weights = tensors.weights;
  int8_t* residual = tensors.residual;
  if (layer.Has(kAccumulate)) {  // sums are updated as weights with a residual are
    weights = residual;
    if (residual != nullptr) residual += SummedNeurons(layer, kind) * FanIn(options, kind);
  }
  WeightUpdater updater(state->rng, weights, residual);
  RunBackwardKernel(kind, args, tensors, &updater);
  state->rng = updater.rng();
  state->saturated += updater.saturated();
}

template void LayerStep(const Layer& layer, LayerKind kind, const LayerTensorsOf<float>& tensors,
                        State* state);
template void LayerStep(const Layer& layer, LayerKind kind,
                        const LayerTensorsOf<Bfloat16>& tensors, State* state);

}  // namespace tfodl
