// The class that int8 outputs speak for.
#ifndef TFODL_PREDICTION_H_
#define TFODL_PREDICTION_H_

#include <stdint.h>

namespace tfodl {

struct Prediction {
  int32_t class_index;
  float probability;
};

// The largest of `classes` >= 1 logits, the first of equals, and its softmax probability.
Prediction PredictFromLogits(const int8_t* logits, uint32_t classes, float scale);

// Of two classes: the logit or the probability of class 1.
Prediction PredictFromLogit(float logit);
Prediction PredictFromSigmoid(float probability);

}  // namespace tfodl

#endif  // TFODL_PREDICTION_H_
