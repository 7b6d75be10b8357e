// The int8 fully connected layer, forwards: the bits of TensorFlow Lite Micro's FULLY_CONNECTED.
#ifndef TFODL_KERNELS_FULLY_CONNECTED_H_
#define TFODL_KERNELS_FULLY_CONNECTED_H_

#include <stdint.h>

#include "tfodl/fully_connected_options.h"

namespace tfodl {

// x [rows, in_c], weights [out_c, in_c], bias [out_c] or null, y [rows, out_c].
void FullyConnected(const FullyConnectedLayer& layer, const int8_t* x, const int8_t* weights,
                    const int32_t* bias, int8_t* y);

// sum of weights[i] (x[i] - x_zero_point), at most kMaxFanIn of them.
int32_t DotProduct(const int8_t* x, int32_t x_zero_point, const int8_t* weights, uint32_t count);

}  // namespace tfodl

#endif  // TFODL_KERNELS_FULLY_CONNECTED_H_
