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

Prediction PredictFromLogit(float logit) {
  const float likelier = 1.0f / (1.0f + ExpOfNonPositive(-Magnitude(logit)));
  return Prediction{logit > 0.0f ? 1 : 0, likelier};
}

Prediction PredictFromSigmoid(float probability) {
  return probability > 0.5f ? Prediction{1, probability} : Prediction{0, 1.0f - probability};
}

}  // namespace tfodl
