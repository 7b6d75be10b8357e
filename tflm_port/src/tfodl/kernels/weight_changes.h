// What int8 weights have changed by since they were exported, in 4 bits each.
//
// Four bytes hold the changes of eight weights, from -7 to 7: the low half of byte j that of weight
// j, the high half that of weight j + 4. Behind the last weight they are filled up with zeros.
#ifndef TFODL_KERNELS_WEIGHT_CHANGES_H_
#define TFODL_KERNELS_WEIGHT_CHANGES_H_

#include <stdint.h>

namespace tfodl {

constexpr uint32_t kWeightsOfAGroup = 8;

inline uint32_t ChangesBytes(uint32_t weights) {
  return (weights + kWeightsOfAGroup - 1) / kWeightsOfAGroup * (kWeightsOfAGroup / 2);
}

// weights = exported + changes, int8 [count].
void LoadWeights(const int8_t* changes, const int8_t* exported, uint32_t count, int8_t* weights);

// changes = weights - exported, bounded. Returns how many of them were out of bounds.
uint32_t StoreWeights(const int8_t* weights, const int8_t* exported, uint32_t count,
                      int8_t* changes);

}  // namespace tfodl

#endif  // TFODL_KERNELS_WEIGHT_CHANGES_H_
