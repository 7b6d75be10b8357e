// How the gradient of a weight becomes a step: an int32 sum times a factor, in units of 2^-16.
#ifndef TFODL_KERNELS_STEP_SCALE_H_
#define TFODL_KERNELS_STEP_SCALE_H_

#include <stdint.h>

#include "tfodl/dsp.h"

namespace tfodl {

// t = round(gradient * multiplier / 2^shift), halves up. A multiplier of 0 changes nothing.
struct StepScale {
  int32_t multiplier;  // not negative
  int32_t shift;       // 32, or as much less as `multiplier` needs to fit, at least 16
};

// step = gradient * factor, factor >= 0 or NaN.
StepScale MakeStepScale(float factor);

// t, or a bound of +-2^23, where a step is as large as it can be.
int32_t ScaledGradient(int32_t gradient, const StepScale& scale);

#if TFODL_HAS_DSP

// Whether t of all four scales, `next` apart, is the upper half of a product: MultiplyTop.
TFODL_INLINE bool AreTop(const StepScale* scales, uint32_t next) {
  return (scales[0].shift & scales[next].shift & scales[2 * next].shift & scales[3 * next].shift) ==
         32;
}

TFODL_INLINE FourSums FourMultipliers(const StepScale* scales, uint32_t next) {
  return FourSums{scales[0].multiplier, scales[next].multiplier, scales[2 * next].multiplier,
                  scales[3 * next].multiplier};
}

#endif  // TFODL_HAS_DSP

}  // namespace tfodl

#endif  // TFODL_KERNELS_STEP_SCALE_H_
