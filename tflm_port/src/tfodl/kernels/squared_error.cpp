#include "tfodl/kernels/squared_error.h"

#include "tfodl/float_math.h"
#include "tfodl/float_contract.h"

namespace tfodl {

SquaredError MeanSquaredError(uint32_t count, float* difference) {
  const float elements = static_cast<float>(count);
  const float share = 2.0f / elements;
  SquaredError result = {0.0f, 0.0f};
  for (uint32_t i = 0; i < count; ++i) {
    const float d = difference[i];
    result.loss += d * d;
    difference[i] = share * d;
    result.alpha += Magnitude(difference[i]);
  }
  result.loss /= elements;
  return result;
}

}  // namespace tfodl
