// Backward pass of DEPTHWISE_CONV_2D: output channel o reads input channel o / multiplier,
// multiplier = out_c / in_c, with per-tensor or per-channel weight scales s and the errors e of
// integer_error.h.
//
//   z[p, o]       = sum over ky, kx of x[window(p) + (ky, kx), o / multiplier] w[ky, kx, o] + b[o]
//   error_x[i, c] = E * sum over p, o, (ky, kx) with window(p) + (ky, kx) = i, o / multiplier = c
//                       of e[p, o] w[ky, kx, o]       (w before its update; times s[o] if q = 1)
//   g[ky, kx, o]  = sum over p of e[p, o] (x[window(p) + (ky, kx), o / multiplier] - x_zp)
//   w[.., o]     -= SR(lr * x_scale * E / (s[o] q[o]) * g)
//   b[o]         -= SR(lr * E / (x_scale * s[o] q[o]) * sum over p of e[p, o])
//
// errors: [out_h, out_w, out_c], x: [in_h, in_w, in_c] int8, weights:
// [kernel_h, kernel_w, out_c] int8, bias: [out_c] int32, error_x: [in_h, in_w, in_c].
// Neurons are updated four at a time, tap by tap; where none of the four has an error or may
// update, no random number is drawn.
#ifndef TFODL_KERNELS_DEPTHWISE_CONV_2D_BACKWARD_H_
#define TFODL_KERNELS_DEPTHWISE_CONV_2D_BACKWARD_H_

#include "tfodl/kernels/backward_args.h"
#include "tfodl/kernels/update.h"

namespace tfodl {

template <class Error>
void DepthwiseConv2DBackward(const BackwardArgs& args, Error* error_x, WeightUpdater* updater);

}  // namespace tfodl

#endif  // TFODL_KERNELS_DEPTHWISE_CONV_2D_BACKWARD_H_
