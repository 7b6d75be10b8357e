// Backward pass of FULLY_CONNECTED, z = W x + b, with per-tensor or per-channel weight scales s.
//
//   error_x[i]  = E * sum over o of e[o] w[o, i]         (integer_error.h; w before its update)
//   w[o, i]    -= SR(lr * x_scale / s[o] * delta[o] * (x[i] - x_zp))
//   b[o]       -= SR(lr / (x_scale * s[o]) * delta[o])
//
// delta: [out_c] floats, x: [in_c] int8, weights: [out_c, in_c] int8, bias: [out_c] int32,
// error_x: [in_c] floats. Only neurons with delta != 0 are touched, two at a time.
#ifndef TFODL_KERNELS_FULLY_CONNECTED_BACKWARD_H_
#define TFODL_KERNELS_FULLY_CONNECTED_BACKWARD_H_

#include "tfodl/kernels/backward_args.h"
#include "tfodl/kernels/update.h"

namespace tfodl {

void FullyConnectedBackward(const BackwardArgs& args, WeightUpdater* updater);

}  // namespace tfodl

#endif  // TFODL_KERNELS_FULLY_CONNECTED_BACKWARD_H_
