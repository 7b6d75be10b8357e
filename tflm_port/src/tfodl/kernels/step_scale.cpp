#include "tfodl/kernels/step_scale.h"

#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

constexpr int32_t kLargestScaled = 128 << 16;

}  // namespace

StepScale MakeStepScale(float factor) {
  float scaled = factor * 65536.0f;
  if (!(scaled > 0.0f)) return StepScale{0, 32};
  int32_t shift = 32;
  while (scaled >= 0.5f && shift > 16) {
    scaled *= 0.5f;
    --shift;
  }
  if (scaled >= 0.5f) return StepScale{INT32_MAX, shift};
  return StepScale{static_cast<int32_t>(scaled * 4294967296.0f), shift};
}

int32_t ScaledGradient(int32_t gradient, const StepScale& scale) {
  const int64_t product = static_cast<int64_t>(gradient) * scale.multiplier;
  const int64_t t = ((product >> (scale.shift - 1)) + 1) >> 1;
  if (t > kLargestScaled) return kLargestScaled;
  return t < -kLargestScaled ? -kLargestScaled : static_cast<int32_t>(t);
}

}  // namespace tfodl
