// Keeps the k entries largest in magnitude and sets all others to 0. Ties are kept in scan order.
//
// values: `count` finite floats or Bfloat16s, the largest of magnitude `largest`. Exact for every input (equal
// values, zeros, denormals), without memory that grows with `count`. Non-negative floats order like
// their bits, so the k-th largest magnitude is found by counting bits: in 64 steps of 1/16 octave
// from the largest on, then in 64 parts of the step it lies in, and so on (256 bytes of stack). Where
// few are still wanted, they are put in order while all others are set to 0: that is the last pass.
// Most inputs need 1 or 2 passes before it; 7 at most.
#ifndef TFODL_KERNELS_SPARSIFY_H_
#define TFODL_KERNELS_SPARSIFY_H_

#include <stdint.h>

namespace tfodl {

template <class Error>
void KeepLargest(Error* values, uint32_t count, uint32_t k, float largest);

// clamp(round(fraction * count), 1, count), halves rounded away from zero.
uint32_t CountOfFraction(float fraction, uint32_t count);

}  // namespace tfodl

#endif  // TFODL_KERNELS_SPARSIFY_H_
