// Backward pass of MAX_POOL_2D and AVERAGE_POOL_2D.
//
//   maximum  each error goes to the largest element of its window; of equal elements the first in
//            scan order gets all of it, as TensorFlow does
//   average  each error is shared equally by the elements of its window that lie inside the input
//            (padding does not count, as in the forward op)
//
// delta: [out_h, out_w, in_c], x: [in_h, in_w, in_c] int8, error_x: [in_h, in_w, in_c].
#ifndef TFODL_KERNELS_POOL_2D_BACKWARD_H_
#define TFODL_KERNELS_POOL_2D_BACKWARD_H_

#include <stdint.h>

#include "tfodl/options.h"

namespace tfodl {

// x: null for the average.
template <class Error>
void Pool2DBackward(const PoolOptions& options, const Error* delta, const int8_t* x,
                    Error* error_x);

}  // namespace tfodl

#endif  // TFODL_KERNELS_POOL_2D_BACKWARD_H_
