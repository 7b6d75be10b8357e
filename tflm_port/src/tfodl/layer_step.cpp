#include "tfodl/layer_step.h"

#include "tfodl/float_math.h"
#include "tfodl/kernels/delta.h"
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

// Step 6. `delta` has been sparsified to `kept` entries; where fewer are non-zero, the entries kept
// beside them are the first zeros in scan order.
void CountWork(const Layer& layer, LayerKind kind, const float* delta, uint32_t kept,
               State* state) {
  const uint32_t count = layer.OutputCount();
  const uint32_t outputs = layer.options.out_c;
  uint32_t non_zero = 0;
  for (uint32_t i = 0; i < count; ++i) non_zero += delta[i] != 0.0f;
  uint32_t zeros_kept = kept - non_zero;

  uint32_t updating = 0;
  uint32_t updating_non_zero = 0;
  if (layer.Has(kUpdateWeights)) {
    uint32_t neuron = 0;
    for (uint32_t i = 0; i < count; ++i) {
      const bool is_non_zero = delta[i] != 0.0f;
      const bool is_kept = is_non_zero || zeros_kept > 0;
      if (!is_non_zero && zeros_kept > 0) --zeros_kept;
      if (is_kept && layer.MayUpdate(neuron)) {
        ++updating;
        updating_non_zero += is_non_zero;
      }
      if (++neuron == outputs) neuron = 0;
    }
  }
  const uint64_t fan_in = FanIn(layer.options, kind);
  const bool propagates = layer.Has(kPropagate);
  AddToCounter(state->backward_macs, ((propagates ? kept : 0) + uint64_t{updating}) * fan_in);
  AddToCounter(state->backward_macs_nonzero,
               ((propagates ? non_zero : 0) + uint64_t{updating_non_zero}) * fan_in);
}

}  // namespace

bool PrepareDelta(const Layer& layer, LayerKind kind, const LayerTensors& tensors, State* state) {
  const LayerOptions& options = layer.options;
  const uint32_t count = layer.OutputCount();
  ApplyActivationMask(tensors.y, options.act_min, options.act_max, count, tensors.error);
  const float y_sum = SumOfMagnitudes(tensors.error, count);
  if (!IsFinite(y_sum)) {
    AbandonStep(state);
    return false;
  }
  const uint32_t kept = EntriesToKeep(options, y_sum, count, state);
  KeepLargest(tensors.error, count, kept);
  CountWork(layer, kind, tensors.error, kept, state);
  return true;
}

void LayerStep(const Layer& layer, LayerKind kind, const LayerTensors& tensors, State* state) {
  if (state->active == 0 || !PrepareDelta(layer, kind, tensors, state)) return;
  StochasticRounder rounder(state->rng);
  RunBackwardKernel(kind, MakeBackwardArgs(layer, tensors, *state), &rounder);
  state->rng = rounder.rng();
  state->saturated += rounder.saturated();
}

}  // namespace tfodl
