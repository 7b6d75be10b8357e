// Options of TFODL_ACCUMULATE, as they lie in the .tflite file (docs/training-graph.md).
#ifndef TFODL_ACCUMULATE_OPTIONS_H_
#define TFODL_ACCUMULATE_OPTIONS_H_

#include <stdint.h>

#include "tfodl/options.h"

namespace tfodl {

struct AccumulateOptions {
  uint32_t abi_version;
  uint32_t samples;  // that train between two changes of the weights
  uint32_t rule;     // SumRule
  uint32_t n_layers;
};

// What becomes of the part of a sum that is no whole step.
enum SumRule : uint32_t { kRoundAtRandom = 0, kKeepRest = 1 };

// Behind them, for each layer; with `masked` the mask follows, in whole words.
struct SummedLayer {
  uint32_t neurons;
  uint32_t fan_in;  // weights of a neuron
  uint32_t masked;
};

static_assert(sizeof(AccumulateOptions) == 16, "four words");
static_assert(sizeof(SummedLayer) == 12, "three words");

// A layer and what it needs.
struct Sums {
  SummedLayer layer;
  const uint8_t* mask;  // as Layer::mask
  uint32_t rows;        // neurons that may update
};

// Checks every field and the exact length.
bool ParseAccumulate(const uint8_t* blob, uint32_t length, AccumulateOptions* options);

// Of the layer at `blob`, which moves behind it. For options that were parsed before.
Sums NextSums(const uint8_t** blob);

}  // namespace tfodl

#endif  // TFODL_ACCUMULATE_OPTIONS_H_
