// What a weighted backward op does with one sample, from the error to the updated weights:
// "What a backward op computes" in docs/training-graph.md.
#ifndef TFODL_LAYER_STEP_H_
#define TFODL_LAYER_STEP_H_

#include <stdint.h>

#include "tfodl/kernels/error_type.h"
#include "tfodl/options.h"
#include "tfodl/state.h"

namespace tfodl {

// The tensors of the op. What the flags do not ask for is null.
template <class Error>
struct LayerTensorsOf {
  Error* error;  // dLoss/dy, overwritten
  const int8_t* x;
  const int8_t* y;
  int8_t* weights;
  int32_t* bias;
  Error* error_x;
  int32_t* scratch;  // ScratchWords of them
  int8_t* residual;  // with kAccumulate the sums; `bias` has those of the biases then
};
using LayerTensors = LayerTensorsOf<float>;

// Words of scratch memory: the gradient of a neuron of a convolution, and before that sums of
// inputs.
template <class Error>
uint32_t ScratchWords(const Layer& layer, LayerKind kind);

struct Entries {
  uint32_t kept, non_zero;
};

// What is left of an error, delta_z, to be handed on and to update neurons.
struct Selection {
  float largest;  // magnitude
  Entries entries;
  Entries updating;  // of neurons that may
  bool is_sparse;    // and can become a list
  uint32_t listed;   // the largest of delta_z that are kept where a list is still to be made
};

// Steps 1 to 3: delta_z with the entries that are kept, in the place of the error, or with all of
// them where ListErrors is to leave out the others. Returns false where it is not finite, which
// abandons the step.
template <class Error>
bool SelectErrors(const Layer& layer, LayerKind kind, const int8_t* y, Error* error, State* state,
                  Selection* selection);

// Step 6.
void CountWork(const Layer& layer, LayerKind kind, const Selection& selection, State* state);

// Does nothing unless the state says that the sample is being trained.
template <class Error>
void LayerStep(const Layer& layer, LayerKind kind, const LayerTensorsOf<Error>& tensors,
               State* state);

}  // namespace tfodl

#endif  // TFODL_LAYER_STEP_H_
