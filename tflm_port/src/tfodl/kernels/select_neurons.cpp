#include "tfodl/kernels/select_neurons.h"

#include "tfodl/float_math.h"
#include "tfodl/random.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

// The keys of the neurons, one after the other.
class Keys {
 public:
  Keys(const float* velocity, uint32_t rng) : velocity_(velocity), rng_(rng) {}

  uint32_t Next(uint32_t cost) {
    if (velocity_ == nullptr) return NextRandom(&rng_);
    return MagnitudeBits(*velocity_++ / static_cast<float>(cost));
  }
  uint32_t rng() const { return rng_; }

 private:
  const float* velocity_;
  uint32_t rng_;
};

// What the neurons with at least this key cost; where it is more than the budget, how much does
// not matter.
uint32_t CostFrom(uint32_t key, const NeuronLayers& layers, uint32_t budget, Keys keys) {
  uint32_t cost = 0;
  for (uint32_t i = 0; i < layers.count; ++i) {
    const NeuronLayer layer = layers[i];
    for (uint32_t neuron = 0; neuron < layer.neurons; ++neuron) {
      if (keys.Next(layer.cost) < key) continue;
      cost += layer.cost;
      if (cost > budget) return cost;
    }
  }
  return cost;
}

}  // namespace

void SelectNeurons(const NeuronLayers& layers, uint32_t budget, const float* velocity,
                   uint32_t* rng, uint8_t* masks) {
  Keys keys(velocity, *rng);
  // The largest key at which it is too much. Where there is none, 0, and all keys above it fit.
  uint32_t limit = 0;
  for (uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
    if (CostFrom(limit | bit, layers, budget, keys) > budget) limit |= bit;
  }
  uint32_t left = budget;
  if (limit != 0xffffffffu) left -= CostFrom(limit + 1, layers, budget, keys);
  for (uint32_t i = 0; i < layers.count; ++i) {
    const NeuronLayer layer = layers[i];
    memset(masks, 0, (layer.neurons + 7) / 8);
    for (uint32_t neuron = 0; neuron < layer.neurons; ++neuron) {
      const uint32_t key = keys.Next(layer.cost);
      bool taken = key > limit;
      if (key == limit) {
        taken = layer.cost <= left;
        left = taken ? left - layer.cost : 0;  // the first that does not fit ends it
      }
      if (taken) masks[neuron / 8] = static_cast<uint8_t>(masks[neuron / 8] | 1u << (neuron % 8));
    }
    masks += (layer.neurons + 7) / 8;
  }
  *rng = keys.rng();
}

}  // namespace tfodl
