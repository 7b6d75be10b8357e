#include "tfodl/accumulate_step.h"

#include "tfodl/kernels/residual_update.h"
#include "tfodl/kernels/update.h"

namespace tfodl {
namespace {

constexpr uint32_t kGroup = 8;  // weights that share a random number
constexpr int32_t kWeightLimit = 127;
// S in units of 2^-16: a product with 2^30 / 2^22.
constexpr StepScale kScale = {1 << 30, 22};

int32_t SumOf(int8_t high, int8_t low) { return high * kResidualsPerStep + low; }

// Returns the number of saturated weights.
uint32_t KeepRest(int8_t* weights, int8_t* high, int8_t* low, uint32_t count) {
  uint32_t saturated = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const int32_t sum = SumOf(high[i], low[i]);
    const int32_t steps = (sum + kResidualsPerStep / 2) >> 8;
    if (steps == 0) continue;
    int32_t updated = weights[i] + steps;
    if (updated > kWeightLimit || updated < -kWeightLimit) {
      updated = updated > 0 ? kWeightLimit : -kWeightLimit;
      ++saturated;
    }
    weights[i] = static_cast<int8_t>(updated);
    const int32_t rest = sum - steps * kResidualsPerStep + 128;
    high[i] = static_cast<int8_t>(rest >> 8);
    low[i] = static_cast<int8_t>((rest & 0xff) - 128);
  }
  return saturated;
}

void RoundAtRandom(uint32_t first, int8_t* high, int8_t* low, uint32_t count,
                   WeightUpdater* updater) {
  for (uint32_t i = 0; i < count; i += kGroup) {
    const uint32_t lanes = count - i < kGroup ? count - i : kGroup;
    int32_t steps[kGroup];
    bool any = false;
    for (uint32_t j = 0; j < lanes; ++j) {
      steps[j] = -SumOf(high[i + j], low[i + j]);
      any |= steps[j] != 0;
      high[i + j] = low[i + j] = 0;
    }
    if (any) updater->UpdateRow(first + i, steps, kScale, lanes);
  }
}

void ApplyToBias(int32_t* bias, int32_t* sum) {
  int64_t updated = int64_t{*bias} + *sum;
  if (updated > INT32_MAX) updated = INT32_MAX;
  if (updated < INT32_MIN) updated = INT32_MIN;
  *bias = static_cast<int32_t>(updated);
  *sum = 0;
}

}  // namespace

bool CountSample(const AccumulateOptions& options, uint32_t* count) {
  if (++*count < options.samples) return false;
  *count = 0;
  return true;
}

void ApplySums(const Sums& sums, uint32_t rule, const SumTensors& tensors, State* state) {
  const uint32_t fan_in = sums.layer.fan_in;
  WeightUpdater updater(state->rng, tensors.weights, nullptr);
  uint32_t row = 0;
  for (uint32_t neuron = 0; neuron < sums.layer.neurons; ++neuron) {
    if (!MaskAllows(sums.mask, neuron)) continue;
    if (tensors.sums != nullptr) {
      int8_t* const high = tensors.sums + row * fan_in;
      int8_t* const low = high + sums.rows * fan_in;
      const uint32_t first = neuron * fan_in;
      if (rule == kKeepRest) {
        state->saturated += KeepRest(tensors.weights + first, high, low, fan_in);
      } else {
        RoundAtRandom(first, high, low, fan_in, &updater);
      }
    }
    if (tensors.bias_sums != nullptr) {
      ApplyToBias(&tensors.bias[neuron], &tensors.bias_sums[row]);
    }
    ++row;
  }
  state->rng = updater.rng();
  state->saturated += updater.saturated();
}

}  // namespace tfodl
