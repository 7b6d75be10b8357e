// In-place updates of int8 weights and int32 biases.
//
// How weights that cannot take a step as it is get there in the long run is the update rule:
// stochastic rounding (stochastic_update.h) or a residual beside each weight (residual_update.h).
// Biases are finer; they round stochastically by either rule, with a random number of their own.
#ifndef TFODL_KERNELS_UPDATE_H_
#define TFODL_KERNELS_UPDATE_H_

#include <stdint.h>

#include "tfodl/kernels/step_scale.h"
#include "tfodl/kernels/stochastic_update.h"

namespace tfodl {

class WeightUpdater {
 public:
  // weights, residuals: the first of the layer; no residuals stand for stochastic rounding. The
  // functions below update weights from the one with the number `first` on.
  WeightUpdater(uint32_t rng, int8_t* weights, int8_t* residuals)
      : state_{rng, 0}, weights_(weights), residuals_(residuals) {}

  // w[i] -= factor (x[i] - x_zero_point). A factor of 0 and NaN change nothing.
  void UpdateOuter(uint32_t first, const int8_t* x, int32_t x_zero_point, float factor,
                   uint32_t count);

  // w[i] -= scale * gradient[i].
  void UpdateRow(uint32_t first, const int32_t* gradient, const StepScale& scale,
                 uint32_t count) {
    if (scale.multiplier != 0) Update(first, gradient, &scale, 0, count);
  }

  // w[i] -= scales[i] * gradient[i] for up to four neighbours.
  void UpdateFour(uint32_t first, const int32_t* gradient, const StepScale* scales,
                  uint32_t count) {
    Update(first, gradient, scales, 1, count);
  }

  // A step of exactly 0 draws no random number, a NaN changes nothing. Saturates at int32.
  void UpdateBias(int32_t* bias, float step);

  uint32_t rng() const { return state_.rng; }
  uint32_t saturated() const { return state_.saturated; }

 private:
  void Update(uint32_t first, const int32_t* gradient, const StepScale* scales,
              uint32_t next_scale, uint32_t count);

  RoundingState state_;
  int8_t* weights_;
  int8_t* residuals_;
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_UPDATE_H_
