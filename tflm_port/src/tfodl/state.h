// The state tensor `tfodl/state` (int32 words) as a struct. docs/training-graph.md lists the words.
#ifndef TFODL_STATE_H_
#define TFODL_STATE_H_

#include <stdint.h>

namespace tfodl {

struct State {
  uint32_t sentinel;       // equals SeedOptions.sentinel once seeded
  uint32_t rng;            // xorshift32 state, never 0
  float learning_rate;     // may be changed between steps
  uint32_t active;         // 1 while the current sample is being trained
  uint32_t samples;        // labelled samples seen
  uint32_t trained;        // samples that were back-propagated
  uint32_t skipped;        // samples the skip rule left out
  uint32_t non_finite;     // steps abandoned because of a non-finite loss or error
  uint32_t saturated;      // weight updates that hit -127, 127 or the bound of a change
  uint32_t backward_macs[2];          // low, high: nominal, k entries per layer
  uint32_t backward_macs_nonzero[2];  // low, high: entries that are exactly zero left out
  float alpha_max;         // running maximum of alpha (TinyPropv2)
  uint32_t reselections;   // how often the masks were chosen anew
  float rate_factor;       // of learning_rate for this sample: 1, or what TFODL_RATE says
};

constexpr uint32_t kStateWords = sizeof(State) / sizeof(uint32_t);
static_assert(sizeof(State) == 16 * sizeof(uint32_t), "the state tensor has 16 words before y_max");

// Running maxima of Y, one per weighted layer, behind the fixed words.
inline float* YMax(State* state) {
  return reinterpret_cast<float*>(reinterpret_cast<uint32_t*>(state) + kStateWords);
}

inline void AddToCounter(uint32_t counter[2], uint64_t amount) {
  const uint64_t sum = ((static_cast<uint64_t>(counter[1]) << 32) | counter[0]) + amount;
  counter[0] = static_cast<uint32_t>(sum);
  counter[1] = static_cast<uint32_t>(sum >> 32);
}

// Gives the step up: the ops that follow return at once.
inline void AbandonStep(State* state) {
  state->active = 0;
  ++state->non_finite;
}

}  // namespace tfodl

#endif  // TFODL_STATE_H_
