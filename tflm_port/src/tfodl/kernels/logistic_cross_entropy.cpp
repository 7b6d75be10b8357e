#include "tfodl/kernels/logistic_cross_entropy.h"

#include "tfodl/float_contract.h"

namespace tfodl {

BinaryCrossEntropy LogisticCrossEntropy(float z, bool label) {
  const float wrong = label ? -z : z;  // the logit of the other class
  const float small = ExpOfNonPositive(-Magnitude(z));
  const float likelier = 1.0f / (1.0f + small);
  const float p_wrong = wrong > 0.0f ? likelier : small * likelier;
  const float loss = LogOfOnePlus(small) + (wrong > 0.0f ? wrong : 0.0f);
  return BinaryCrossEntropy{loss, label ? -p_wrong : p_wrong, likelier};
}

}  // namespace tfodl
