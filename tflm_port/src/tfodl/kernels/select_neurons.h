// Which neurons may update: the first ones of an order whose parameters stay within a budget.
#ifndef TFODL_KERNELS_SELECT_NEURONS_H_
#define TFODL_KERNELS_SELECT_NEURONS_H_

#include <stdint.h>
#include <string.h>

namespace tfodl {

// A layer whose neurons are chosen from.
struct NeuronLayer {
  uint32_t neurons;
  uint32_t cost;  // parameters of each of them
  int32_t y_zero_point;
};
static_assert(sizeof(NeuronLayer) == 12, "three words");

// Layers as they lie in the options, unaligned.
struct NeuronLayers {
  const uint8_t* words;
  uint32_t count;

  NeuronLayer operator[](uint32_t index) const {
    NeuronLayer layer;
    memcpy(&layer, words + index * sizeof layer, sizeof layer);
    return layer;
  }
};

// Sets the bits of the neurons that are taken and clears all others. A neuron's key is
// |velocity| / cost, without velocities the next draw of the generator. Neurons are taken in
// descending order of their keys, equal ones in the order of layers and neurons, until the next one
// would exceed the budget. No memory beside the masks: the key where it ends is found by halving,
// in 33 passes over the keys. Every layer's mask starts with a new byte.
void SelectNeurons(const NeuronLayers& layers, uint32_t budget, const float* velocity,
                   uint32_t* rng, uint8_t* masks);

}  // namespace tfodl

#endif  // TFODL_KERNELS_SELECT_NEURONS_H_
