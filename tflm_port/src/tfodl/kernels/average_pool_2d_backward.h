// Backward pass of AVERAGE_POOL_2D: each error is shared equally by the elements of its window that
// lie inside the input (padding does not count, as in the forward op).
//
// delta: [out_h, out_w, in_c], error_x: [in_h, in_w, in_c].
#ifndef TFODL_KERNELS_AVERAGE_POOL_2D_BACKWARD_H_
#define TFODL_KERNELS_AVERAGE_POOL_2D_BACKWARD_H_

#include <stdint.h>

#include "tfodl/options.h"

namespace tfodl {

template <class Error>
void AveragePool2DBackward(const PoolOptions& options, const Error* delta, Error* error_x);

}  // namespace tfodl

#endif  // TFODL_KERNELS_AVERAGE_POOL_2D_BACKWARD_H_
