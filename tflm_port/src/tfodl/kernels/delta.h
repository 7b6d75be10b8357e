// The error in front of the activation.
//
//   delta_z[i] = error[i]  where act_min < y[i] < act_max, else 0
//
// act_min = -129 and act_max = 128 mean no bound. There y can be stuck at the end of int8 instead:
// an error that would push it further out has no effect on the loss and would drive the weights
// away without end, so of y = 127 only errors > 0 pass, of y = -128 only errors < 0.
#ifndef TFODL_KERNELS_DELTA_H_
#define TFODL_KERNELS_DELTA_H_

#include <stdint.h>

namespace tfodl {

struct ErrorSummary {
  float sum;          // Y = sum |delta_z[i]|, added up in scan order
  float largest;      // max |delta_z[i]|
  uint32_t non_zero;  // entries that are not 0
};

// error: dLoss/dy in real units, `count` floats or Bfloat16s, overwritten with delta_z. y: the op's
// int8 output, or null to let every error pass. `largest` means nothing where `sum` is not finite.
template <class Error>
ErrorSummary MaskError(const int8_t* y, int32_t act_min, int32_t act_max, uint32_t count,
                       Error* error);

}  // namespace tfodl

#endif  // TFODL_KERNELS_DELTA_H_
