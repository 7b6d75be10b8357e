// Options of TFODL_RATE, as they lie in the .tflite file (docs/training-graph.md).
#ifndef TFODL_RATE_OPTIONS_H_
#define TFODL_RATE_OPTIONS_H_

#include <stdint.h>

namespace tfodl {

enum Schedule : uint32_t { kConstantRate = 0, kStepRate = 1, kCosineRate = 2 };

struct RateOptions {
  uint32_t abi_version;
  uint32_t schedule;
  uint32_t samples;  // between two steps; until the end of the cosine
  uint32_t warm_up;  // samples
  float factor;      // of a step; left at the end of the cosine
  float clip;        // largest alpha that counts in full, 0 for none
};

static_assert(sizeof(RateOptions) == 24, "six words");

// Checks every field and the exact length.
bool ParseRate(const uint8_t* blob, uint32_t length, RateOptions* options);

}  // namespace tfodl

#endif  // TFODL_RATE_OPTIONS_H_
