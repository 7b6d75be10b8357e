// What a weighted backward op does with one sample, from the error to the updated weights:
// "What a backward op computes" in docs/training-graph.md.
#ifndef TFODL_LAYER_STEP_H_
#define TFODL_LAYER_STEP_H_

#include <stdint.h>

#include "tfodl/options.h"
#include "tfodl/state.h"

namespace tfodl {

// The tensors of the op. What the flags do not ask for is null.
struct LayerTensors {
  float* error;  // dLoss/dy, overwritten
  const int8_t* x;
  const int8_t* y;
  int8_t* weights;
  int32_t* bias;
  float* error_x;
  int32_t* scratch;
  int8_t* residual;  // with kAccumulate the sums; `bias` has those of the biases then
};

// Does nothing unless the state says that the sample is being trained.
void LayerStep(const Layer& layer, LayerKind kind, const LayerTensors& tensors, State* state);

}  // namespace tfodl

#endif  // TFODL_LAYER_STEP_H_
