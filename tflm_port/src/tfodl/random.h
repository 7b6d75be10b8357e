// The seeded generator of stochastic rounding: Marsaglia's xorshift32 (13, 17, 5), period 2^32 - 1.
#ifndef TFODL_RANDOM_H_
#define TFODL_RANDOM_H_

#include <stdint.h>

#include "tfodl/inline.h"
#include "tfodl/float_contract.h"

namespace tfodl {

// Advances the state (never 0) and returns it.
TFODL_INLINE uint32_t NextRandom(uint32_t* state) {
  uint32_t x = *state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  *state = x;
  return x;
}

// Uniform in [0, 1): the upper 24 bits times 2^-24, exact in a float.
TFODL_INLINE float NextUniform(uint32_t* state) {
  return static_cast<float>(NextRandom(state) >> 8) * (1.0f / 16777216.0f);
}

}  // namespace tfodl

#endif  // TFODL_RANDOM_H_
