// Softmax and cross entropy of int8 logits.
//
//   p     = softmax(scale * logits)        (the zero point cancels)
//   loss  = -ln p[label]
//   error = p - onehot(label)              dLoss/dlogit in real units, `classes` floats
//   alpha = sum |error|
//
// loss is computed as ln(sum e^(z - max)) - (z[label] - max), which is finite even where p[label]
// is too small for a float.
#ifndef TFODL_KERNELS_SOFTMAX_CROSS_ENTROPY_H_
#define TFODL_KERNELS_SOFTMAX_CROSS_ENTROPY_H_

#include <stdint.h>

namespace tfodl {

struct CrossEntropy {
  float loss;
  float alpha;
};

// Requires classes >= 1 and label < classes.
CrossEntropy SoftmaxCrossEntropy(const int8_t* logits, uint32_t classes, float scale,
                                 uint32_t label, float* error);

}  // namespace tfodl

#endif  // TFODL_KERNELS_SOFTMAX_CROSS_ENTROPY_H_
