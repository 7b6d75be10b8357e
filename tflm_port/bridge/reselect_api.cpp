// C functions through which tests choose neurons without a graph.
#include <stdint.h>

#include "tfodl/reselect_step.h"

extern "C" {

// Returns 0 where the options are not valid.
int tfodl_select_neurons(const uint8_t* blob, uint32_t length, const float* velocity, uint32_t* rng,
                         uint8_t* masks) {
  tfodl::Reselection reselection;
  if (!tfodl::ParseReselect(blob, length, &reselection)) return 0;
  tfodl::SelectNeurons(reselection.layers, reselection.options.budget, velocity, rng, masks);
  return 1;
}

// A step on a reference sample with these outputs, int8 of all neurons, in place of the layers'.
// Returns 0 where it is not wanted or the options are not valid.
int tfodl_observe_outputs(const uint8_t* blob, uint32_t length, const int8_t* y, uint8_t* masks,
                          uint32_t* velocity, int8_t* outputs, tfodl::State* state) {
  tfodl::Reselection reselection;
  if (!tfodl::ParseReselect(blob, length, &reselection)) return 0;
  const tfodl::ReselectTensors tensors = {masks, velocity, outputs};
  int8_t* seen = tfodl::ReselectStep(reselection, tfodl::kReferenceLabel, tensors, state);
  if (seen == nullptr) return 0;
  for (uint32_t neuron = 0; neuron < reselection.neurons; ++neuron) {
    seen[neuron * reselection.options.n_references] = y[neuron];
  }
  tfodl::FinishObservation(reselection, tensors, state);
  return 1;
}

// A labelled sample is over.
void tfodl_finish_labelled(const uint8_t* blob, uint32_t length, uint8_t* masks,
                           uint32_t* velocity, int8_t* outputs, tfodl::State* state) {
  tfodl::Reselection reselection;
  if (!tfodl::ParseReselect(blob, length, &reselection)) return;
  ++state->samples;
  tfodl::ReselectStep(reselection, 0, tfodl::ReselectTensors{masks, velocity, outputs}, state);
}

}  // extern "C"
