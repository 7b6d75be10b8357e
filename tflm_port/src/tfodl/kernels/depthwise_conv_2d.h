// The int8 depthwise convolution, forwards: the bits of TensorFlow Lite Micro's DEPTHWISE_CONV_2D.
#ifndef TFODL_KERNELS_DEPTHWISE_CONV_2D_H_
#define TFODL_KERNELS_DEPTHWISE_CONV_2D_H_

#include <stdint.h>

#include "tfodl/conv_options.h"

namespace tfodl {

// x [in_h, in_w, in_c], weights [kernel_h, kernel_w, out_c], bias [out_c] or null,
// y [out_h, out_w, y_c], of which it writes out_c channels; channel o reads input channel o /
// (out_c / in_c).
void DepthwiseConv2D(const Conv& conv, const int8_t* x, const int8_t* weights, const int32_t* bias,
                     int8_t* y);

// The same with y in the place of x, where CanWorkInPlace; scratch: InPlaceScratchWords.
void DepthwiseConv2DInPlace(const Conv& conv, const int8_t* weights, const int32_t* bias,
                            int8_t* scratch, int8_t* map);

}  // namespace tfodl

#endif  // TFODL_KERNELS_DEPTHWISE_CONV_2D_H_
