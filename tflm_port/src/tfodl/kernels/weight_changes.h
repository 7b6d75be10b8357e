// What int8 weights have changed by since they were exported, in 4 bits each.
//
// A change has one of 15 values, which lie wider apart the larger they are; between two of them it
// is rounded at random.
// Four bytes hold those of eight weights: the low half of byte j that of weight j, the high half
// that of weight j + 4. Behind the last weight they are filled up with zeros.
#ifndef TFODL_KERNELS_WEIGHT_CHANGES_H_
#define TFODL_KERNELS_WEIGHT_CHANGES_H_

#include <stdint.h>

namespace tfodl {

constexpr uint32_t kWeightsOfAGroup = 8;

inline uint32_t ChangesBytes(uint32_t weights) {
  return (weights + kWeightsOfAGroup - 1) / kWeightsOfAGroup * (kWeightsOfAGroup / 2);
}

// weights = exported + changes within [-127, 127], int8 [count].
void LoadWeights(const int8_t* changes, const int8_t* exported, uint32_t count, int8_t* weights);

// The changes of weights that were loaded and may have moved since; those that have not keep
// theirs. rng: the state of the generator. Returns how many changes were out of bounds.
uint32_t StoreWeights(const int8_t* weights, const int8_t* exported, uint32_t count,
                      int8_t* changes, uint32_t* rng);

}  // namespace tfodl

#endif  // TFODL_KERNELS_WEIGHT_CHANGES_H_
