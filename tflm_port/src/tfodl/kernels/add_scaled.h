// The multiply-accumulates of the backward pass: rows of int8 times int16 factors, summed as int32.
//
//   sums[r, i] += factor_1 (first[r, i] + offset) + factor_2 (second[r, i] + offset)
//
// Two source rows share the reading and writing of the sums. A Cortex-M4 takes 2.5 instructions per
// product in the inner loop.
#ifndef TFODL_KERNELS_ADD_SCALED_H_
#define TFODL_KERNELS_ADD_SCALED_H_

#include <stdint.h>

namespace tfodl {

// Where the rows lie: `rows` rows of `count` elements with gaps between them, in elements.
struct RowBlock {
  uint32_t rows, count;
  uint32_t gap;       // of first and second
  uint32_t sums_gap;  // of sums
};

// factors: int16 pair, the first in the low half. offset: within [-255, 255].
void AddScaled(const RowBlock& block, const int8_t* first, const int8_t* second, uint32_t factors,
               int32_t offset, int32_t* sums);

}  // namespace tfodl

#endif  // TFODL_KERNELS_ADD_SCALED_H_
