#include "tfodl/kernels/logistic_cross_entropy.h"

#include "tfodl/float_contract.h"

namespace tfodl {

BinaryCrossEntropy LogisticCrossEntropy(float z, bool label) {
  const float wrong = label ? -z : z;  // the logit of the other class
  const float small = ExpOfNonPositive(-Magnitude(z));
  const float sum = 1.0f + small;
  const float p_wrong = (wrong > 0.0f ? 1.0f : small) / sum;
  BinaryCrossEntropy result;
  result.ratio = sum;
  result.more = wrong > 0.0f ? wrong : 0.0f;
  result.error = label ? -p_wrong : p_wrong;
  return result;
}

}  // namespace tfodl
