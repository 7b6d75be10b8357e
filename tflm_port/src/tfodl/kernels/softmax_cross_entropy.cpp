#include "tfodl/optimize.h"

#include "tfodl/kernels/softmax_cross_entropy.h"

#include "tfodl/float_math.h"

namespace tfodl {

CrossEntropy SoftmaxCrossEntropy(const int8_t* logits, uint32_t classes, float scale,
                                 uint32_t label, float* error) {
  int32_t largest = logits[0];
  for (uint32_t i = 1; i < classes; ++i) {
    if (logits[i] > largest) largest = logits[i];
  }
  for (uint32_t i = 0; i < classes; ++i) {
    error[i] = scale * static_cast<float>(logits[i] - largest);
  }
  ExpOfNonPositives(error, classes);
  float sum = 0.0f;
  for (uint32_t i = 0; i < classes; ++i) sum += error[i];

  CrossEntropy result;
  result.loss = LogOfAtLeastOne(sum) - scale * static_cast<float>(logits[label] - largest);
  result.alpha = 0.0f;
  for (uint32_t i = 0; i < classes; ++i) {
    float value = error[i] / sum;
    if (i == label) value -= 1.0f;
    error[i] = value;
    result.alpha += Magnitude(value);
  }
  return result;
}

}  // namespace tfodl
