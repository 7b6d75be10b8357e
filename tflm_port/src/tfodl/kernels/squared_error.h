// Mean squared error of `count` outputs.
//
//   loss  = sum d^2 / count                d = output - target
//   error = 2 d / count                    dLoss/doutput
//   alpha = sum |error|
#ifndef TFODL_KERNELS_SQUARED_ERROR_H_
#define TFODL_KERNELS_SQUARED_ERROR_H_

#include <stdint.h>

#include "tfodl/float_math.h"
#include "tfodl/float_contract.h"

namespace tfodl {

class MeanSquaredError {
 public:
  explicit MeanSquaredError(uint32_t count)
      : elements_(static_cast<float>(count)), share_(2.0f / elements_) {}

  // Adds the difference of one output and returns its error.
  float Add(float difference) {
    sum_ += difference * difference;
    const float error = share_ * difference;
    alpha_ += Magnitude(error);
    return error;
  }
  float loss() const { return sum_ / elements_; }
  float alpha() const { return alpha_; }

 private:
  float elements_, share_;
  float sum_ = 0.0f;
  float alpha_ = 0.0f;
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_SQUARED_ERROR_H_
