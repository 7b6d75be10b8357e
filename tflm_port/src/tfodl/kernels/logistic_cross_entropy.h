// Sigmoid and binary cross entropy of one logit z.
//
//   p     = 1 / (1 + e^-z)
//   loss  = -ln p where the label is 1, else -ln (1 - p)
//   error = p - label                      dLoss/dz
//
// Written with e^-|z|, so that nothing overflows and an error close to 0 keeps its digits.
#ifndef TFODL_KERNELS_LOGISTIC_CROSS_ENTROPY_H_
#define TFODL_KERNELS_LOGISTIC_CROSS_ENTROPY_H_

#include "tfodl/float_math.h"

namespace tfodl {

struct BinaryCrossEntropy {
  float loss, error;
  float likelier;  // the larger one of p and 1 - p
};

BinaryCrossEntropy LogisticCrossEntropy(float z, bool label);

}  // namespace tfodl

#endif  // TFODL_KERNELS_LOGISTIC_CROSS_ENTROPY_H_
