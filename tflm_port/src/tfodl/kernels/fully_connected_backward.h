// Backward pass of FULLY_CONNECTED, z = W x + b, with per-tensor or per-channel weight scales s.
//
//   error_x[i]  = E * sum over o of e[o] w[o, i]         (integer_error.h; w before its update)
//   w[o, i]    -= SR(lr * x_scale / s[o] * delta[o] * (x[i] - x_zp))
//   b[o]       -= SR(lr / (x_scale * s[o]) * delta[o])
//
// delta: [out_c], x: [in_c] int8, weights: [out_c, in_c] int8, bias: [out_c] int32, error_x:
// [in_c]. Only neurons with delta != 0 are touched, for error_x two at a time. Floats take as much
// memory as the sums that they come from; a smaller error_x is summed up in scratch memory,
// kInputsAtOnce at a time.
#ifndef TFODL_KERNELS_FULLY_CONNECTED_BACKWARD_H_
#define TFODL_KERNELS_FULLY_CONNECTED_BACKWARD_H_

#include "tfodl/kernels/backward_args.h"
#include "tfodl/kernels/update.h"

namespace tfodl {

constexpr uint32_t kInputsAtOnce = 256;

template <class Error>
void FullyConnectedBackward(const BackwardArgs& args, const Error* delta, Error* error_x,
                            WeightUpdater* updater);

}  // namespace tfodl

#endif  // TFODL_KERNELS_FULLY_CONNECTED_BACKWARD_H_
