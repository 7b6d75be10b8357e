// Options of TFODL_RESELECT, as they lie in the .tflite file (docs/training-graph.md).
#ifndef TFODL_RESELECT_OPTIONS_H_
#define TFODL_RESELECT_OPTIONS_H_

#include <stdint.h>

#include "tfodl/kernels/select_neurons.h"

namespace tfodl {

enum SelectionRule : uint32_t { kRandomNeurons = 0, kFastestNeurons = 1 };

struct ReselectOptions {
  uint32_t abi_version;
  uint32_t rule;
  uint32_t interval;      // labelled samples
  uint32_t budget;        // parameters
  uint32_t n_references;  // 0 with kRandomNeurons
  float mu;
  uint32_t n_layers;
};

static_assert(sizeof(ReselectOptions) == 28, "seven words");

constexpr uint32_t kMaxReferences = 64;

// ReselectOptions and the layers behind them, which stay where they are.
struct Reselection {
  ReselectOptions options;
  NeuronLayers layers;
  uint32_t neurons;     // of all layers
  uint32_t mask_bytes;  // of all layers
};

// Checks every field and the exact length: what it accepts, the kernels can run.
bool ParseReselect(const uint8_t* blob, uint32_t length, Reselection* reselection);

}  // namespace tfodl

#endif  // TFODL_RESELECT_OPTIONS_H_
