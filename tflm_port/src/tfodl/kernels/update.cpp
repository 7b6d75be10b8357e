#include "tfodl/kernels/update.h"

#include "tfodl/float_math.h"
#include "tfodl/random.h"

namespace tfodl {
namespace {

constexpr int32_t kWeightLimit = 127;

// No update can use more than the range of its parameter; beyond these bounds the conversion to an
// integer would be undefined.
constexpr float kLargestWeightStep = 512.0f;
constexpr float kLargestBiasStep = 8589934592.0f;  // 2^33

bool ChangesNothing(float step) { return step == 0.0f || step != step; }

float Clamp(float value, float limit) {
  if (value > limit) return limit;
  return value < -limit ? -limit : value;
}

}  // namespace

void StochasticRounder::UpdateWeight(int8_t* weight, float step) {
  if (ChangesNothing(step)) return;
  const float noisy = Clamp(step, kLargestWeightStep) + NextUniform(&rng_);
  int32_t updated = *weight - FloorToInt(noisy);
  if (updated > kWeightLimit || updated < -kWeightLimit) {
    updated = updated > 0 ? kWeightLimit : -kWeightLimit;
    ++saturated_;
  }
  *weight = static_cast<int8_t>(updated);
}

void StochasticRounder::UpdateBias(int32_t* bias, float step) {
  if (ChangesNothing(step)) return;
  const float noisy = Clamp(step, kLargestBiasStep) + NextUniform(&rng_);
  int64_t rounded = static_cast<int64_t>(noisy);
  if (static_cast<float>(rounded) > noisy) --rounded;
  const int64_t updated = *bias - rounded;
  if (updated > INT32_MAX) {
    *bias = INT32_MAX;
  } else if (updated < INT32_MIN) {
    *bias = INT32_MIN;
  } else {
    *bias = static_cast<int32_t>(updated);
  }
}

}  // namespace tfodl
