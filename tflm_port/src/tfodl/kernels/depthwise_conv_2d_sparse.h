// The sums of depthwise_conv_2d_backward.h one error at a time, and from a list of errors
// (error_list.h). Compiled for size.
#ifndef TFODL_KERNELS_DEPTHWISE_CONV_2D_SPARSE_H_
#define TFODL_KERNELS_DEPTHWISE_CONV_2D_SPARSE_H_

#include "tfodl/kernels/backward_args.h"
#include "tfodl/kernels/patch.h"

namespace tfodl {

// sums of the patch += error * weights.
void PropagateOne(const Patch& patch, uint32_t neurons, int32_t error,
                  const int8_t* weights, int32_t* sums);

// error_x: [in_h, in_w, in_c].
template <class Error>
void SparseDepthwiseInputGradient(const BackwardArgs& args, Error* error_x);

// Adds g of one neuron: tap i is gradient[i * step].
void SparseDepthwiseWeightGradient(const BackwardArgs& args, uint32_t neuron, uint32_t step,
                                   int32_t* gradient);

}  // namespace tfodl

#endif  // TFODL_KERNELS_DEPTHWISE_CONV_2D_SPARSE_H_
