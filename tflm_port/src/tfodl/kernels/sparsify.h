// Keeps the k entries largest in magnitude and sets all others to 0. Ties are kept in scan order.
//
// values: `count` finite floats. Exact for every input (equal values, zeros, denormals), without
// memory that grows with `count`: the k-th largest magnitude is found by radix selection on the
// bits of |value| (non-negative floats order like their bits), 6 bits per pass over the values,
// with 64 counters (256 bytes of stack). At most 6 passes; most inputs need 2 or 3.
#ifndef TFODL_KERNELS_SPARSIFY_H_
#define TFODL_KERNELS_SPARSIFY_H_

#include <stdint.h>

namespace tfodl {

void KeepLargest(float* values, uint32_t count, uint32_t k);

// clamp(round(fraction * count), 1, count), halves rounded away from zero.
uint32_t CountOfFraction(float fraction, uint32_t count);

}  // namespace tfodl

#endif  // TFODL_KERNELS_SPARSIFY_H_
