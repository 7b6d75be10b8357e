// The sums of conv_2d_backward.h from a list of errors (error_list.h): they cost what its entries
// cost. Compiled for size, as their inner loop is AddScaled.
#ifndef TFODL_KERNELS_CONV_2D_SPARSE_H_
#define TFODL_KERNELS_CONV_2D_SPARSE_H_

#include "tfodl/kernels/backward_args.h"

namespace tfodl {

// error_x: [in_h, in_w, in_c].
template <class Error>
void SparseConv2DInputGradient(const BackwardArgs& args, Error* error_x);

// gradient: one row of weights, zeros before.
void SparseConv2DWeightGradient(const BackwardArgs& args, uint32_t neuron, int32_t* gradient);

}  // namespace tfodl

#endif  // TFODL_KERNELS_CONV_2D_SPARSE_H_
