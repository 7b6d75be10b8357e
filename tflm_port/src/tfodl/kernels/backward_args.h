// What the three weighted backward kernels work on.
#ifndef TFODL_KERNELS_BACKWARD_ARGS_H_
#define TFODL_KERNELS_BACKWARD_ARGS_H_

#include <stdint.h>

#include "tfodl/kernels/error_list.h"
#include "tfodl/kernels/integer_error.h"
#include "tfodl/kernels/window_range.h"
#include "tfodl/options.h"

namespace tfodl {

// Shapes are those of layer.options (NHWC, batch 1). A pointer the flags do not ask for is null.
struct BackwardArgs {
  explicit BackwardArgs(const Layer& of) : layer(of) {}

  const Layer& layer;
  const int8_t* x;   // [in_h, in_w, in_c]
  int8_t* weights;   // written only with kUpdateWeights
  int32_t* bias;     // [out_c], units x_scale * weight scale
  int32_t* scratch;  // ScratchWords of them
  float learning_rate;
  ErrorUnit unit;         // of the layer's errors as integers
  const int16_t* errors;  // [out_h, out_w, out_c]; null where the errors are sparse
  ErrorList list;         // in their place
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_BACKWARD_ARGS_H_
