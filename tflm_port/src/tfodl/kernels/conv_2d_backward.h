// Backward pass of CONV_2D, z[p, o] = sum over ky, kx, c of x[window(p) + (ky, kx), c]
// w[o, ky, kx, c] + b[o], with per-tensor or per-channel weight scales s and the errors e of
// integer_error.h.
//
//   error_x[q, c] = E * sum over p, o, (ky, kx) with window(p) + (ky, kx) = q
//                       of e[p, o] w[o, ky, kx, c]                     (w before its update)
//   g[ky, kx, c]  = sum over p of e[p, o] (x[window(p) + (ky, kx), c] - x_zp)
//   w[o, ...]    -= SR(lr * x_scale * E / s[o]^2 * g)
//   b[o]         -= SR(lr * E / (x_scale * s[o]^2) * sum over p of e[p, o])
//
// errors: [out_h, out_w, out_c], x: [in_h, in_w, in_c] int8, weights:
// [out_c, kernel_h, kernel_w, in_c] int8, bias: [out_c] int32, error_x: [in_h, in_w, in_c]. scratch
// holds g of one neuron, and before that sums of error_x (input_sums.h). Only entries with e != 0
// cost anything: two neurons at a time for error_x, two positions at a time for g.
#ifndef TFODL_KERNELS_CONV_2D_BACKWARD_H_
#define TFODL_KERNELS_CONV_2D_BACKWARD_H_

#include "tfodl/kernels/backward_args.h"
#include "tfodl/kernels/update.h"

namespace tfodl {

template <class Error>
void Conv2DBackward(const BackwardArgs& args, Error* error_x, WeightUpdater* updater);

}  // namespace tfodl

#endif  // TFODL_KERNELS_CONV_2D_BACKWARD_H_
