// Options of TFODL_FLOAT_HEAD, as they lie in the .tflite file (docs/training-graph.md).
#ifndef TFODL_FLOAT_HEAD_OPTIONS_H_
#define TFODL_FLOAT_HEAD_OPTIONS_H_

#include <stdint.h>
#include <string.h>

namespace tfodl {

struct FloatHeadOptions {
  uint32_t abi_version;
  int32_t x_zero_point;
  int32_t y_zero_point;
  uint32_t n_factors;  // 1 or one for each output; they follow
};

static_assert(sizeof(FloatHeadOptions) == 16, "four words");

struct FloatHead {
  FloatHeadOptions options;
  const uint8_t* factors;  // x_scale * weight scale / y_scale, unaligned floats

  float Factor(uint32_t output) const {
    float factor;
    memcpy(&factor, factors + (options.n_factors == 1 ? 0 : output * sizeof factor),
           sizeof factor);
    return factor;
  }
};

// Checks every field and the exact length.
bool ParseFloatHead(const uint8_t* blob, uint32_t length, uint32_t outputs, FloatHead* head);

FloatHead ReadFloatHead(const uint8_t* blob);

}  // namespace tfodl

#endif  // TFODL_FLOAT_HEAD_OPTIONS_H_
