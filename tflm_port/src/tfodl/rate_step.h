// What the learning rate is multiplied by for one sample: its schedule and the clipped error.
//
//   constant   1
//   step       factor^floor(n / samples)
//   cosine     factor + (1 - factor) (1 + cos(pi n / samples)) / 2, factor from n = samples on
//   warm-up    times (n + 1) / warm_up while n < warm_up
//   clip       times clip / alpha where alpha > clip
//
// n labelled samples came before. Gradients are linear in the output error, so a smaller rate for
// all layers is a smaller output error; alpha, the sum of its magnitudes, is known already.
#ifndef TFODL_RATE_STEP_H_
#define TFODL_RATE_STEP_H_

#include <stdint.h>

#include "tfodl/rate_options.h"

namespace tfodl {

bool IsClipped(const RateOptions& options, float alpha);

float RateFactor(const RateOptions& options, uint32_t n, float alpha);

}  // namespace tfodl

#endif  // TFODL_RATE_STEP_H_
