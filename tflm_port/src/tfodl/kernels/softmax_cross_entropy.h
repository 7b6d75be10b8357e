// Softmax and cross entropy of int8 logits, by a table of exponentials.
//
//   t[q]   = e^(scale (q - 127))          256 floats from q = -128 on; below 2^-126 it is 0
//   e[i]   = t[127 + logits[i] - logits[best]]      best: the first of the largest logits
//   others = sum of e[i], i != best
//   p      = e / (1 + others)
//   loss   = -ln p[label] = ln(1 + others) + scale (logits[best] - logits[label])
//   error  = p - onehot(label)            dLoss/dlogit in real units
//   alpha  = sum |error| = 2 (1 - p[label])
//
// 1 - p[label] is a sum without e[label] over the whole sum, so that it keeps its digits where
// p[label] is close to 1. loss is finite even where p[label] is too small for a float.
#ifndef TFODL_KERNELS_SOFTMAX_CROSS_ENTROPY_H_
#define TFODL_KERNELS_SOFTMAX_CROSS_ENTROPY_H_

#include <stdint.h>

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"
#include "tfodl/inline.h"
#include "tfodl/kernels/error_type.h"
#include "tfodl/options.h"
#include "tfodl/float_contract.h"

namespace tfodl {

struct Softmax {
  uint32_t best;
  int32_t best_logit;
  float others;
  float probability;     // of the best
  const uint8_t* entry;  // of a logit of 0
};

TFODL_INLINE float EntryOf(int32_t logit, const uint8_t* table) {
  return FloatFromBits(LoadWord(table + logit * static_cast<int32_t>(sizeof(float))));
}

// Requires classes >= 1.
TFODL_INLINE Softmax SoftmaxOf(const Xent& xent, const int8_t* logits, uint32_t classes) {
  const int8_t* end = logits + classes;
  const int32_t first = -static_cast<int32_t>(classes);
  TFODL_OPAQUE(end);
  int32_t best = first;
  int32_t best_logit = end[first];
  int32_t i = first;
  do {
    if (__builtin_expect(end[i] > best_logit, 0)) {
      best_logit = end[i];
      best = i;
    }
  } while (++i != 0);
  const uint8_t* const entry =
      xent.exponentials + static_cast<uint32_t>(255 - best_logit) * sizeof(float);
  float others = 0.0f;
  i = first;
  do {
    if (i != best) others += EntryOf(end[i], entry);
  } while (++i != 0);
  return Softmax{static_cast<uint32_t>(best - first), best_logit, others, 1.0f / (1.0f + others),
                 entry};
}

}  // namespace tfodl

#endif  // TFODL_KERNELS_SOFTMAX_CROSS_ENTROPY_H_
