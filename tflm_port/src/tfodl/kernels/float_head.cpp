#include "tfodl/optimize.h"

#include "tfodl/kernels/float_head.h"

#include "tfodl/float_math.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

constexpr float kLargestFactor = 127.0f;
constexpr float kLargestBiasStep = 1099511627776.0f;  // 2^40

// Within [-limit, limit]; 0 for NaN.
float Bounded(float value, float limit) {
  if (value > limit) return limit;
  if (value < -limit) return -limit;
  return value == value ? value : 0.0f;
}

// to[i] += factor * from[i].
TFODL_NOINLINE void AddTimes(float factor, const float* from, uint32_t count, float* to) {
  for (; count >= 4; count -= 4, from += 4, to += 4) {
    to[0] += factor * from[0];
    to[1] += factor * from[1];
    to[2] += factor * from[2];
    to[3] += factor * from[3];
  }
  for (; count > 0; --count) *to++ += factor * *from++;
}

}  // namespace

void CenterInputs(const int8_t* x, int32_t zero_point, uint32_t count, float* centered) {
  for (uint32_t i = 0; i < count; ++i) centered[i] = static_cast<float>(x[i] - zero_point);
}

void FloatHeadForward(const FloatHead& head, const float* centered, uint32_t inputs,
                      uint32_t outputs, const float* weights, const float* bias, int8_t* y) {
  const float zero_point = static_cast<float>(head.options.y_zero_point);
  for (uint32_t o = 0; o < outputs; ++o) {
    float sum = bias[o];
    const float* x = centered;
    uint32_t left = inputs;
    for (; left >= 4; left -= 4, x += 4, weights += 4) {
      sum += weights[0] * x[0];
      sum += weights[1] * x[1];
      sum += weights[2] * x[2];
      sum += weights[3] * x[3];
    }
    for (; left > 0; --left) sum += *weights++ * *x++;
    y[o] = SaturateToInt8(sum * head.Factor(o) + zero_point);
  }
}

void FloatHeadBackward(const Layer& layer, float learning_rate, const float* delta,
                       const FloatHeadTensors& tensors) {
  const LayerOptions& options = layer.options;
  const uint32_t inputs = options.in_c;
  if (tensors.error_x != nullptr) {
    for (uint32_t i = 0; i < inputs; ++i) tensors.error_x[i] = 0.0f;
  }
  for (uint32_t o = 0; o < options.out_c; ++o) {
    const float error = delta[o];
    if (MagnitudeBits(error) == 0) continue;
    const float scale = layer.WeightScale(o);
    float* const row = tensors.weights + o * inputs;
    if (tensors.error_x != nullptr) AddTimes(error * scale, row, inputs, tensors.error_x);
    if (!layer.MayUpdate(o)) continue;
    const float factor = learning_rate * options.x_scale / scale * error;
    const float step = learning_rate / (options.x_scale * scale) * error;
    AddTimes(-Bounded(factor, kLargestFactor), tensors.centered, inputs, row);
    tensors.bias[o] -= Bounded(step, kLargestBiasStep);
  }
}

}  // namespace tfodl
