// Softmax and cross entropy of int8 logits, by a table of exponentials.
//
//   t[q]  = e^(scale (q - 127))          256 floats from q = -128 on; below 2^-126 it is 0
//   p     = t[logits] / sum t[logits]    (the zero point cancels)
//   loss  = -ln p[label]
//   error = p - onehot(label)            dLoss/dlogit in real units
//   alpha = sum |error| = 2 (1 - p[label])
//
// 1 - p[label] is the sum of the others over the whole sum, so that it keeps its digits where
// p[label] is close to 1. With a scale above 1/4, whose table reaches 0, the largest logit is taken
// to the end of the table first. loss is finite even where p[label] is too small for a float.
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

struct CrossEntropy {
  float ratio, distance;  // loss = ln(ratio) + distance
  float wrong;            // 1 - p[label]
  float sum;              // of the entries
  const uint8_t* entry;   // of a logit of 0
};

TFODL_INLINE float EntryOf(int32_t logit, const uint8_t* table) {
  return FloatFromBits(LoadWord(table + logit * static_cast<int32_t>(sizeof(float))));
}

// sum + the entries of the `count` logits in front of `end`.
TFODL_INLINE float AddEntries(const int8_t* end, uint32_t count, const uint8_t* table, float sum) {
  for (int32_t i = -static_cast<int32_t>(count); i != 0; ++i) sum += EntryOf(end[i], table);
  return sum;
}

// Requires classes >= 1 and label < classes.
TFODL_INLINE CrossEntropy SoftmaxCrossEntropy(const Xent& xent, const int8_t* logits,
                                              uint32_t classes, uint32_t label) {
  const float scale = xent.options.logits_scale;
  const uint8_t* table = xent.exponentials + 128 * sizeof(float);
  const int32_t own = logits[label];
  int32_t reference = own;  // a logit whose entry is not 0
  float distance = 0.0f;    // between the two, in the exponent
  if (__builtin_expect(scale > kLargestScaleWithoutZeros, 0)) {
    for (uint32_t i = 0; i < classes; ++i) {
      if (logits[i] > reference) reference = logits[i];
    }
    table += static_cast<uint32_t>(127 - reference) * sizeof(float);
    distance = scale * static_cast<float>(reference - own);
  }
  float others = AddEntries(logits + label, label, table, 0.0f);
  others = AddEntries(logits + classes, classes - 1 - label, table, others);
  CrossEntropy found;
  found.sum = others + EntryOf(own, table);
  found.wrong = others / found.sum;
  found.ratio = found.sum / EntryOf(reference, table);
  found.distance = distance;
  found.entry = table;
  return found;
}

// error: `classes` of them, of what SoftmaxCrossEntropy has found for the same arguments.
template <class Error>
TFODL_INLINE void SoftmaxError(const CrossEntropy& found, const int8_t* logits, uint32_t classes,
                               uint32_t label, Error* error) {
  const float share = 1.0f / found.sum;
  for (uint32_t i = 0; i < classes; ++i) {
    StoreError(EntryOf(logits[i], found.entry) * share, &error[i]);
  }
  StoreError(-found.wrong, &error[label]);
}

}  // namespace tfodl

#endif  // TFODL_KERNELS_SOFTMAX_CROSS_ENTROPY_H_
