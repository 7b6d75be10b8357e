#include "tfodl/kernels/delta.h"

#include "tfodl/float_math.h"

namespace tfodl {

void ApplyActivationMask(const int8_t* y, int32_t act_min, int32_t act_max, uint32_t count,
                         float* error) {
  if (y == nullptr) return;
  for (uint32_t i = 0; i < count; ++i) {
    const bool bounded = y[i] <= act_min || y[i] >= act_max;
    const bool stuck = (y[i] == 127 && error[i] < 0.0f) || (y[i] == -128 && error[i] > 0.0f);
    if (bounded || stuck) error[i] = 0.0f;
  }
}

float SumOfMagnitudes(const float* values, uint32_t count) {
  float sum = 0.0f;
  for (uint32_t i = 0; i < count; ++i) sum += Magnitude(values[i]);
  return sum;
}

}  // namespace tfodl
