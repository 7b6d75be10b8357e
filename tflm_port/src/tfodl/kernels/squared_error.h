// Mean squared error of `count` outputs.
//
//   loss  = sum d^2 / count                d = output - target
//   error = 2 d / count                    dLoss/doutput
//   alpha = sum |error|
#ifndef TFODL_KERNELS_SQUARED_ERROR_H_
#define TFODL_KERNELS_SQUARED_ERROR_H_

#include <stdint.h>

namespace tfodl {

struct SquaredError {
  float loss;
  float alpha;
};

// difference: d, overwritten with the error.
SquaredError MeanSquaredError(uint32_t count, float* difference);

}  // namespace tfodl

#endif  // TFODL_KERNELS_SQUARED_ERROR_H_
