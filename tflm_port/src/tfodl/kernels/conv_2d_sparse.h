// The sums of conv_2d_backward.h from a list of errors (error_list.h): they cost what its entries
// cost. Compiled for size, as their inner loop is AddScaled.
#ifndef TFODL_KERNELS_CONV_2D_SPARSE_H_
#define TFODL_KERNELS_CONV_2D_SPARSE_H_

#include "tfodl/kernels/add_scaled.h"
#include "tfodl/kernels/backward_args.h"
#include "tfodl/kernels/patch.h"

namespace tfodl {

// The rows of a patch the other way round: of inputs that are added to sums of weights.
RowBlock InputRows(const Patch& patch);

// error_x: [in_h, in_w, in_c].
template <class Error>
void SparseConv2DInputGradient(const BackwardArgs& args, Error* error_x);

// sum: that of the neuron's errors. gradient: one row of weights, zeros before.
void SparseConv2DWeightGradient(const BackwardArgs& args, uint32_t neuron, int32_t sum,
                                int32_t* gradient);

}  // namespace tfodl

#endif  // TFODL_KERNELS_CONV_2D_SPARSE_H_
