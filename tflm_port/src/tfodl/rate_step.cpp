#include "tfodl/rate_step.h"

#include "tfodl/float_math.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

// base^exponent, from the lowest bit of the exponent on.
float Power(float base, uint32_t exponent) {
  float result = 1.0f;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result *= base;
    base *= base;
  }
  return result;
}

float Share(uint32_t part, uint32_t whole) {
  return static_cast<float>(part) / static_cast<float>(whole);
}

float Scheduled(const RateOptions& o, uint32_t n) {
  if (o.schedule == kStepRate) return Power(o.factor, n / o.samples);
  if (o.schedule != kCosineRate) return 1.0f;
  if (n >= o.samples) return o.factor;
  return o.factor + (1.0f - o.factor) * (0.5f + 0.5f * CosOfPi(Share(n, o.samples)));
}

}  // namespace

bool IsClipped(const RateOptions& options, float alpha) {
  return options.clip > 0.0f && alpha > options.clip;
}

float RateFactor(const RateOptions& options, uint32_t n, float alpha) {
  float factor = Scheduled(options, n);
  if (n < options.warm_up) factor *= Share(n + 1, options.warm_up);
  if (IsClipped(options, alpha)) factor *= options.clip / alpha;
  return factor;
}

}  // namespace tfodl
