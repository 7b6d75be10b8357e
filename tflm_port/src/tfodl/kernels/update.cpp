#include "tfodl/kernels/update.h"

#include "tfodl/float_math.h"
#include "tfodl/kernels/residual_update.h"
#include "tfodl/random.h"

namespace tfodl {
namespace {

constexpr float kLargestOuterFactor = 127.0f;
// Beyond 2^30 floats are multiples of four; 2^33 is beyond the range of biases.
constexpr float kLargeBiasStep = 1073741824.0f;
constexpr float kLargestBiasStep = 8589934080.0f;  // the float below 2^33

constexpr uint32_t kInfinityBits = 0x7f800000u;

// 0 and NaN, by the bits of the magnitude.
TFODL_INLINE bool ChangesNothing(uint32_t magnitude) {
  return magnitude == 0 || magnitude > kInfinityBits;
}

TFODL_INLINE float WithSignOf(float sign, float magnitude) {
  return FloatFromBits((FloatBits(sign) & 0x80000000u) | FloatBits(magnitude));
}

}  // namespace

void WeightUpdater::UpdateOuter(uint32_t first, const int8_t* x, int32_t x_zero_point,
                                float factor, uint32_t count) {
  const uint32_t magnitude = MagnitudeBits(factor);
  if (ChangesNothing(magnitude)) return;
  if (magnitude > FloatBits(kLargestOuterFactor)) factor = WithSignOf(factor, kLargestOuterFactor);
  if (residuals_ == nullptr) {
    StochasticOuter(weights_ + first, x, x_zero_point, factor, count, &state_);
  } else {
    state_.saturated +=
        ResidualOuter(weights_ + first, residuals_ + first, x, x_zero_point, factor, count);
  }
}

void WeightUpdater::Update(uint32_t first, const int32_t* gradient, const StepScale* scales,
                           uint32_t next_scale, uint32_t count) {
  if (residuals_ == nullptr) {
    StochasticRow(weights_ + first, gradient, scales, next_scale, count, &state_);
  } else {
    state_.saturated +=
        ResidualRow(weights_ + first, residuals_ + first, gradient, scales, next_scale, count);
  }
}

void WeightUpdater::UpdateBias(int32_t* bias, float step) {
  const uint32_t magnitude = MagnitudeBits(step);
  if (ChangesNothing(magnitude)) return;
  const float uniform = NextUniform(&state_.rng);
  int64_t rounded;
  if (magnitude < FloatBits(kLargeBiasStep)) {
    rounded = FloorToInt(step + uniform);
  } else {
    if (magnitude > FloatBits(kLargestBiasStep)) step = WithSignOf(step, kLargestBiasStep);
    rounded = int64_t{4} * static_cast<int32_t>(step * 0.25f);
  }
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
