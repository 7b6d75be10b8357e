// What the three weighted backward kernels work on.
#ifndef TFODL_KERNELS_BACKWARD_ARGS_H_
#define TFODL_KERNELS_BACKWARD_ARGS_H_

#include <stdint.h>

#include "tfodl/options.h"

namespace tfodl {

// Shapes are those of layer.options (NHWC, batch 1). A pointer the flags do not ask for is null.
struct BackwardArgs {
  Layer layer;
  float learning_rate;
  const float* delta;  // [out_h, out_w, out_c], dLoss/dz in real units
  const int8_t* x;     // [in_h, in_w, in_c]
  int8_t* weights;     // written only with kUpdateWeights
  int32_t* bias;       // [out_c], units x_scale * weight scale
  float* error_x;      // [in_h, in_w, in_c], dLoss/dx in real units
  float* scratch;      // one row of weights
};

// The part of a window that lies inside the input, along one axis.
struct WindowRange {
  int32_t origin;      // input coordinate of window element 0, may be negative
  int32_t begin, end;  // window elements inside the input

  WindowRange(uint32_t position, uint32_t stride, uint32_t pad, uint32_t window, uint32_t in)
      : origin(static_cast<int32_t>(position * stride) - static_cast<int32_t>(pad)),
        begin(origin < 0 ? -origin : 0),
        end(static_cast<int32_t>(in) - origin < static_cast<int32_t>(window)
                ? static_cast<int32_t>(in) - origin
                : static_cast<int32_t>(window)) {}
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_BACKWARD_ARGS_H_
