// When neurons are chosen anew, and from what: "Reselection" in docs/training-graph.md.
#ifndef TFODL_RESELECT_STEP_H_
#define TFODL_RESELECT_STEP_H_

#include <stdint.h>

#include "tfodl/reselect_options.h"
#include "tfodl/state.h"

namespace tfodl {

// The label of a step on a reference sample. As every negative label it trains nothing.
constexpr int32_t kReferenceLabel = -2;

// What is remembered for kFastestNeurons; zero at the start.
struct VelocityRecord {
  uint32_t next;    // the reference sample that is wanted; n_references: none
  uint32_t rounds;  // how often all of them have been seen
};

// Words of the tensor: the record, then phi, dphi and v of all neurons.
inline uint32_t VelocityWords(const Reselection& reselection) {
  return sizeof(VelocityRecord) / 4 + 3 * reselection.neurons;
}

// The tensors of the op. Those of kFastestNeurons are null without it.
struct ReselectTensors {
  uint8_t* masks;
  uint32_t* velocity;  // VelocityWords()
  int8_t* outputs;     // [2, neurons, n_references]
};

// At the end of a step with this label. Returns where the outputs of the layers are to go by
// MeanOfMaps with the stride n_references, one layer behind the other, when the step was on a
// reference sample that is wanted; else null. Then FinishObservation has to follow.
int8_t* ReselectStep(const Reselection& reselection, int32_t label, const ReselectTensors& tensors,
                     State* state);

void FinishObservation(const Reselection& reselection, const ReselectTensors& tensors,
                       State* state);

}  // namespace tfodl

#endif  // TFODL_RESELECT_STEP_H_
