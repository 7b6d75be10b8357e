// Backward pass of MAX_POOL_2D: each error goes to the largest element of its window. Of equal
// elements the first in scan order gets all of it, as TensorFlow does.
//
// delta: [out_h, out_w, in_c], x: [in_h, in_w, in_c] int8, error_x: [in_h, in_w, in_c].
#ifndef TFODL_KERNELS_MAX_POOL_2D_BACKWARD_H_
#define TFODL_KERNELS_MAX_POOL_2D_BACKWARD_H_

#include <stdint.h>

#include "tfodl/options.h"

namespace tfodl {

template <class Error>
void MaxPool2DBackward(const PoolOptions& options, const Error* delta, const int8_t* x,
                       Error* error_x);

}  // namespace tfodl

#endif  // TFODL_KERNELS_MAX_POOL_2D_BACKWARD_H_
