// The multiply-accumulates of the backward pass: rows of int8 times int16 factors, summed as int32.
//
//   sums[r, i] += factor_1 (first[r, i] + offset) + factor_2 (second[r, i] + offset)
//
// Two source rows share the reading and writing of the sums. A Cortex-M4 takes 2.5 instructions per
// product in the inner loop.
#ifndef TFODL_KERNELS_ADD_SCALED_H_
#define TFODL_KERNELS_ADD_SCALED_H_

#include <stdint.h>

#include "tfodl/dsp.h"
#include "tfodl/inline.h"

namespace tfodl {

// Where the rows lie: `rows` rows of `count` elements with gaps between them, in elements.
struct RowBlock {
  uint32_t rows, count;
  uint32_t gap;       // of first and second
  uint32_t sums_gap;  // of sums
};

// factors: int16 pair, the first in the low half. offset: within [-255, 255]. A row alone is given
// as both of them, with a second factor of 0.
void AddScaled(const RowBlock& block, const int8_t* first, const int8_t* second, uint32_t factors,
               int32_t offset, int32_t* sums);

// Row after row for the same sums, each with a factor: one waits for the next, two at a time.
class PairedRows {
 public:
  explicit PairedRows(int32_t offset) : offset_(offset) {}

  TFODL_INLINE void Add(const RowBlock& block, const int8_t* row, int32_t factor, int32_t* sums) {
    if (waiting_ == nullptr) {
      waiting_ = row;
      waiting_factor_ = factor;
      return;
    }
    AddScaled(block, waiting_, row, MakePair(waiting_factor_, factor), offset_, sums);
    waiting_ = nullptr;
  }
  void Finish(const RowBlock& block, int32_t* sums) {
    if (waiting_ == nullptr) return;
    AddScaled(block, waiting_, waiting_, MakePair(waiting_factor_, 0), offset_, sums);
    waiting_ = nullptr;
  }

 private:
  int32_t offset_;
  const int8_t* waiting_ = nullptr;
  int32_t waiting_factor_ = 0;
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_ADD_SCALED_H_
