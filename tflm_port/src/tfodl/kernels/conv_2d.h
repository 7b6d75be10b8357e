// The int8 convolution, forwards: the bits of TensorFlow Lite Micro's CONV_2D.
#ifndef TFODL_KERNELS_CONV_2D_H_
#define TFODL_KERNELS_CONV_2D_H_

#include <stdint.h>

#include "tfodl/conv_options.h"

namespace tfodl {

// x [in_h, in_w, in_c], weights [out_c, kernel_h, kernel_w, in_c], bias [out_c] or null,
// y [out_h, out_w, y_c], of which it writes out_c channels; scratch: ConvScratchWords, aligned to
// four bytes.
void Conv2D(const Conv& conv, const int8_t* x, const int8_t* weights, const int32_t* bias,
            int16_t* scratch, int8_t* y);

}  // namespace tfodl

#endif  // TFODL_KERNELS_CONV_2D_H_
