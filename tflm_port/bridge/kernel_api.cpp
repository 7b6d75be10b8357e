// C functions that run single kernels on plain buffers, for tests and measurements without TFLM.
#include <stdint.h>

#include "tfodl/kernels/average_pool_2d_backward.h"
#include "tfodl/kernels/delta.h"
#include "tfodl/kernels/max_pool_2d_backward.h"
#include "tfodl/kernels/softmax_cross_entropy.h"
#include "tfodl/kernels/sparsify.h"
#include "tfodl/kernels/update.h"
#include "tfodl/float_math.h"
#include "tfodl/layer_step.h"
#include "tfodl/options.h"
#include "tfodl/random.h"
#include "tfodl/xent_step.h"

namespace {

using tfodl::Layer;
using tfodl::LayerKind;
using tfodl::LayerTensors;
using tfodl::State;

// Records the float updates in place of applying them.
class Recorder {
 public:
  Recorder(const LayerTensors& tensors, float* weight_steps, float* bias_steps)
      : tensors_(tensors), weight_steps_(weight_steps), bias_steps_(bias_steps) {}

  void UpdateWeight(int8_t* weight, float step) { weight_steps_[weight - tensors_.weights] = step; }
  void UpdateBias(int32_t* bias, float step) { bias_steps_[bias - tensors_.bias] = step; }

 private:
  const LayerTensors& tensors_;
  float* weight_steps_;
  float* bias_steps_;
};

}  // namespace

extern "C" {

// The ops' validation alone. kind: 0 fully connected, 1 conv, 2 depthwise. Return 1 for accepted.
int tfodl_parse_seed(const uint8_t* blob, uint32_t length) {
  tfodl::SeedOptions options;
  return tfodl::ParseSeed(blob, length, &options) ? 1 : 0;
}

int tfodl_parse_xent(const uint8_t* blob, uint32_t length) {
  tfodl::XentOptions options;
  return tfodl::ParseXent(blob, length, &options) ? 1 : 0;
}

int tfodl_parse_layer(int kind, const uint8_t* blob, uint32_t length) {
  Layer layer;
  return tfodl::ParseLayer(blob, length, static_cast<LayerKind>(kind), &layer) ? 1 : 0;
}

int tfodl_parse_pool(const uint8_t* blob, uint32_t length) {
  tfodl::PoolOptions options;
  return tfodl::ParsePool(blob, length, &options) ? 1 : 0;
}

// One weighted backward op. With weight_steps the float updates are written there and to bias_steps
// and nothing is updated. Returns 0 when the options are refused.
int tfodl_layer_step(int kind, const uint8_t* blob, uint32_t length, const LayerTensors* tensors,
                     State* state, float* weight_steps, float* bias_steps) {
  const LayerKind layer_kind = static_cast<LayerKind>(kind);
  Layer layer;
  if (!tfodl::ParseLayer(blob, length, layer_kind, &layer)) return 0;
  if (weight_steps == nullptr) {
    tfodl::LayerStep(layer, layer_kind, *tensors, state);
  } else if (tfodl::PrepareDelta(layer, layer_kind, *tensors, state)) {
    Recorder recorder(*tensors, weight_steps, bias_steps);
    tfodl::RunBackwardKernel(layer_kind, tfodl::MakeBackwardArgs(layer, *tensors, *state),
                             &recorder);
  }
  return 1;
}

// Returns 0 when the options are refused.
int tfodl_max_pool_backward(const uint8_t* blob, uint32_t length, const float* delta,
                            const int8_t* x, float* error_x) {
  tfodl::PoolOptions options;
  if (!tfodl::ParsePool(blob, length, &options)) return 0;
  tfodl::MaxPool2DBackward(options, delta, x, error_x);
  return 1;
}

int tfodl_average_pool_backward(const uint8_t* blob, uint32_t length, const float* delta,
                                float* error_x) {
  tfodl::PoolOptions options;
  if (!tfodl::ParsePool(blob, length, &options)) return 0;
  tfodl::AveragePool2DBackward(options, delta, error_x);
  return 1;
}

// Returns 0 when the options are refused, 2 when the label is.
int tfodl_xent_step(const uint8_t* blob, uint32_t length, const int8_t* logits, uint32_t classes,
                    int32_t label, State* state, float* error, tfodl::Report* report) {
  tfodl::XentOptions options;
  if (!tfodl::ParseXent(blob, length, &options)) return 0;
  return tfodl::XentStep(options, logits, classes, label, state, error, report) ? 1 : 2;
}

void tfodl_keep_largest(float* values, uint32_t count, uint32_t k) {
  tfodl::KeepLargest(values, count, k);
}

uint32_t tfodl_count_of_fraction(float fraction, uint32_t count) {
  return tfodl::CountOfFraction(fraction, count);
}

void tfodl_activation_mask(const int8_t* y, int32_t act_min, int32_t act_max, uint32_t count,
                           float* error) {
  tfodl::ApplyActivationMask(y, act_min, act_max, count, error);
}

// Applies one step to each weight in turn. Returns the number of saturated updates.
uint32_t tfodl_update_weights(int8_t* weights, const float* steps, uint32_t count, uint32_t* rng) {
  tfodl::StochasticRounder rounder(*rng);
  for (uint32_t i = 0; i < count; ++i) rounder.UpdateWeight(&weights[i], steps[i]);
  *rng = rounder.rng();
  return rounder.saturated();
}

void tfodl_update_biases(int32_t* biases, const float* steps, uint32_t count, uint32_t* rng) {
  tfodl::StochasticRounder rounder(*rng);
  for (uint32_t i = 0; i < count; ++i) rounder.UpdateBias(&biases[i], steps[i]);
  *rng = rounder.rng();
}

void tfodl_exp_of_non_positive(const float* x, uint32_t count, float* result) {
  for (uint32_t i = 0; i < count; ++i) result[i] = tfodl::ExpOfNonPositive(x[i]);
}

void tfodl_log_of_at_least_one(const float* x, uint32_t count, float* result) {
  for (uint32_t i = 0; i < count; ++i) result[i] = tfodl::LogOfAtLeastOne(x[i]);
}

void tfodl_uniform(uint32_t* rng, uint32_t count, float* result) {
  for (uint32_t i = 0; i < count; ++i) result[i] = tfodl::NextUniform(rng);
}

}  // extern "C"
