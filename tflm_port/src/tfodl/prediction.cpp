#include "tfodl/prediction.h"

#include "tfodl/float_math.h"
#include "tfodl/float_contract.h"

namespace tfodl {

Prediction PredictFromLogits(const int8_t* logits, uint32_t classes, float scale) {
  uint32_t best = 0;
  for (uint32_t i = 1; i < classes; ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  float sum = 0.0f;
  for (uint32_t i = 0; i < classes; ++i) {
    sum += ExpOfNonPositive(scale * static_cast<float>(logits[i] - logits[best]));
  }
  return Prediction{static_cast<int32_t>(best), 1.0f / sum};
}

}  // namespace tfodl
