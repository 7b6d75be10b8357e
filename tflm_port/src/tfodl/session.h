// Access to the training state of the interpreter that was invoked last.
#ifndef TFODL_SESSION_H_
#define TFODL_SESSION_H_

#include <stdint.h>

#include "tfodl/state.h"

namespace tfodl {

// A variable, in the order of TFODL_SEED.
struct Variable {
  void* data;  // int8 weights, int32 biases or int8 masks, may be read and written between steps
  uint32_t bytes;
};

// What no state counts: of all interpreters, since the start.
struct Counts {
  uint32_t seedings;  // how often the variables were filled with what was exported
  uint32_t clipped;   // samples whose error was clipped
};

struct Session {
  State* state;          // null before the first Invoke()
  uint32_t state_bytes;  // with the running maxima behind it
  const Variable* variables;
  uint32_t n_variables;
  const uint8_t* seed_options;
};

// The mask of one layer: bit o % 8 of bits[o / 8] is set where neuron o may update. May be changed
// between steps.
struct Mask {
  uint8_t* bits;  // null where there is no such layer, or its mask cannot be changed
  uint32_t neurons;
};

// A sample of the model's input, to be run with kReferenceLabel.
struct Reference {
  const int8_t* data;  // null when none is wanted
  uint32_t bytes;
};

// Valid until that interpreter goes away or its tensors are allocated again.
const Session& CurrentSession();

// Of the layers that train, counted in the order of the forward pass.
Mask MaskOfLayer(uint32_t layer);

// The sample that the next step should be on, so that the speed of the neurons becomes known.
const Reference& WantedReference();

const Counts& CurrentCounts();

// Called by TFODL_SEED, TFODL_RATE and TFODL_RESELECT.
void PublishSession(const Session& session);
void PublishReference(const Reference& reference);
void CountSeeding();
void CountClipped();

}  // namespace tfodl

#endif  // TFODL_SESSION_H_
