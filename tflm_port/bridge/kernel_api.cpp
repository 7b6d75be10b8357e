// C functions that run single kernels on plain buffers, for tests and measurements without TFLM.
#include <stdint.h>

#include "tfodl/kernels/conv_2d.h"
#include "tfodl/kernels/delta.h"
#include "tfodl/kernels/depthwise_conv_2d.h"
#include "tfodl/kernels/error_type.h"
#include "tfodl/kernels/fully_connected.h"
#include "tfodl/kernels/integer_error.h"
#include "tfodl/kernels/pool_2d_backward.h"
#include "tfodl/kernels/softmax_cross_entropy.h"
#include "tfodl/kernels/sparsify.h"
#include "tfodl/kernels/update.h"
#include "tfodl/kernels/weight_changes.h"
#include "tfodl/conv_options.h"
#include "tfodl/float_math.h"
#include "tfodl/layer_step.h"
#include "tfodl/options.h"
#include "tfodl/random.h"
#include "tfodl/rate_step.h"
#include "tfodl/xent_step.h"

namespace {

using tfodl::Bfloat16;
using tfodl::Layer;
using tfodl::LayerKind;
using tfodl::LayerTensorsOf;
using tfodl::State;

template <class Error>
int LayerStep(int kind, const uint8_t* blob, uint32_t length, const LayerTensorsOf<Error>* tensors,
              State* state) {
  const LayerKind layer_kind = static_cast<LayerKind>(kind);
  Layer layer;
  if (!tfodl::ParseLayer(blob, length, layer_kind, &layer)) return 0;
  tfodl::LayerStep(layer, layer_kind, *tensors, state);
  return 1;
}

template <class Error>
void KeepLargest(Error* values, uint32_t count, uint32_t k) {
  const float largest = tfodl::MaskError(nullptr, -129, 128, count, values).largest;
  tfodl::KeepLargest(values, count, k, largest);
}

}  // namespace

extern "C" {

// The ops' validation alone. kind: 0 fully connected, 1 conv, 2 depthwise. Return 1 for accepted.
int tfodl_parse_seed(const uint8_t* blob, uint32_t length) {
  tfodl::SeedOptions options;
  return tfodl::ParseSeed(blob, length, &options) ? 1 : 0;
}

int tfodl_parse_xent(const uint8_t* blob, uint32_t length) {
  tfodl::Xent xent;
  return tfodl::ParseXent(blob, length, &xent) ? 1 : 0;
}

int tfodl_parse_layer(int kind, const uint8_t* blob, uint32_t length) {
  Layer layer;
  return tfodl::ParseLayer(blob, length, static_cast<LayerKind>(kind), &layer) ? 1 : 0;
}

int tfodl_parse_pool(const uint8_t* blob, uint32_t length) {
  tfodl::PoolOptions options;
  return tfodl::ParsePool(blob, length, &options) ? 1 : 0;
}

// One weighted backward op. Returns 0 when the options are refused.
int tfodl_layer_step(int kind, const uint8_t* blob, uint32_t length,
                     const LayerTensorsOf<float>* tensors, State* state) {
  return LayerStep(kind, blob, length, tensors, state);
}

int tfodl_layer_step_bfloat16(int kind, const uint8_t* blob, uint32_t length,
                              const LayerTensorsOf<Bfloat16>* tensors, State* state) {
  return LayerStep(kind, blob, length, tensors, state);
}

// 0 when the options are refused.
uint32_t tfodl_scratch_words_bfloat16(int kind, const uint8_t* blob, uint32_t length) {
  const LayerKind layer_kind = static_cast<LayerKind>(kind);
  Layer layer;
  if (!tfodl::ParseLayer(blob, length, layer_kind, &layer)) return 0;
  return tfodl::ScratchWords<Bfloat16>(layer, layer_kind);
}

void tfodl_to_bfloat16(const float* values, uint32_t count, Bfloat16* rounded) {
  for (uint32_t i = 0; i < count; ++i) tfodl::StoreError(values[i], &rounded[i]);
}

// Returns 0 when the options are refused.
int tfodl_fully_connected(const uint8_t* blob, uint32_t length, const int8_t* x,
                          const int8_t* weights, const int32_t* bias, int8_t* y) {
  tfodl::FullyConnectedLayer layer;
  if (!tfodl::ParseFullyConnected(blob, length, &layer)) return 0;
  tfodl::FullyConnected(layer, x, weights, bias, y);
  return 1;
}

// scratch: ConvScratchWords of them. Returns 0 when the options are refused.
int tfodl_conv(int kind, const uint8_t* blob, uint32_t length, const int8_t* x,
               const int8_t* weights, const int32_t* bias, int16_t* scratch, int8_t* y) {
  const LayerKind layer_kind = static_cast<LayerKind>(kind);
  tfodl::Conv conv;
  if (!tfodl::ParseConv(blob, length, layer_kind, &conv)) return 0;
  if (layer_kind == LayerKind::kConv2D) {
    tfodl::Conv2D(conv, x, weights, bias, scratch, y);
  } else {
    tfodl::DepthwiseConv2D(conv, x, weights, bias, y);
  }
  return 1;
}

// map: x, and y afterwards; scratch: InPlaceScratchWords. Returns 0 when that cannot be.
int tfodl_depthwise_in_place(const uint8_t* blob, uint32_t length, const int8_t* weights,
                             const int32_t* bias, int8_t* scratch, int8_t* map) {
  tfodl::Conv conv;
  if (!tfodl::ParseConv(blob, length, LayerKind::kDepthwiseConv2D, &conv) ||
      !tfodl::CanWorkInPlace(conv.options)) {
    return 0;
  }
  tfodl::DepthwiseConv2DInPlace(conv, weights, bias, scratch, map);
  return 1;
}

// Returns 0 when the options are refused.
int tfodl_max_pool_backward(const uint8_t* blob, uint32_t length, const float* delta,
                            const int8_t* x, float* error_x) {
  tfodl::PoolOptions options;
  if (!tfodl::ParsePool(blob, length, &options)) return 0;
  tfodl::Pool2DBackward(options, delta, x, error_x);
  return 1;
}

int tfodl_average_pool_backward(const uint8_t* blob, uint32_t length, const float* delta,
                                float* error_x) {
  tfodl::PoolOptions options;
  if (!tfodl::ParsePool(blob, length, &options)) return 0;
  tfodl::Pool2DBackward(options, delta, nullptr, error_x);
  return 1;
}

// Returns 0 when the options are refused, 2 when the label is.
int tfodl_xent_step(const uint8_t* blob, uint32_t length, const int8_t* logits, uint32_t classes,
                    int32_t label, State* state, float* error, tfodl::Report* report) {
  tfodl::Xent xent;
  if (!tfodl::ParseXent(blob, length, &xent)) return 0;
  return tfodl::XentStep(xent, logits, classes, label, state, error, report) ? 1 : 2;
}

void tfodl_keep_largest(float* values, uint32_t count, uint32_t k) {
  KeepLargest(values, count, k);
}

void tfodl_keep_largest_bfloat16(Bfloat16* values, uint32_t count, uint32_t k) {
  KeepLargest(values, count, k);
}

uint32_t tfodl_count_of_fraction(float fraction, uint32_t count) {
  return tfodl::CountOfFraction(fraction, count);
}

// summary: sum, largest, and the count of non-zero entries as a float.
void tfodl_mask_error(const int8_t* y, int32_t act_min, int32_t act_max, uint32_t count,
                      float* error, float* summary) {
  const tfodl::ErrorSummary found = tfodl::MaskError(y, act_min, act_max, count, error);
  summary[0] = found.sum;
  summary[1] = found.largest;
  summary[2] = static_cast<float>(found.non_zero);
}

// E of a layer whose errors times the weight scales are at most `largest`.
float tfodl_error_unit(float largest, uint32_t limit) {
  return tfodl::MakeErrorUnit(largest, limit).unit;
}

int32_t tfodl_integer_error(float delta, float weight_scale, float largest, uint32_t limit) {
  return tfodl::IntegerError(delta, weight_scale, tfodl::MakeErrorUnit(largest, limit));
}

// These return the number of saturated updates. residuals: null for stochastic rounding.
uint32_t tfodl_update_outer(int8_t* weights, int8_t* residuals, const int8_t* x,
                            int32_t x_zero_point, float factor, uint32_t count, uint32_t* rng) {
  tfodl::WeightUpdater updater(*rng, weights, residuals);
  updater.UpdateOuter(0, x, x_zero_point, factor, count);
  *rng = updater.rng();
  return updater.saturated();
}

uint32_t tfodl_update_row(int8_t* weights, int8_t* residuals, const int32_t* gradient,
                          float factor, uint32_t count, uint32_t* rng) {
  tfodl::WeightUpdater updater(*rng, weights, residuals);
  updater.UpdateRow(0, gradient, tfodl::MakeStepScale(factor), count);
  *rng = updater.rng();
  return updater.saturated();
}

uint32_t tfodl_update_four(int8_t* weights, int8_t* residuals, const int32_t* gradient,
                           const float* factors, uint32_t count, uint32_t* rng) {
  tfodl::WeightUpdater updater(*rng, weights, residuals);
  tfodl::StepScale scales[4];
  for (uint32_t i = 0; i < count; ++i) scales[i] = tfodl::MakeStepScale(factors[i]);
  updater.UpdateFour(0, gradient, scales, count);
  *rng = updater.rng();
  return updater.saturated();
}

void tfodl_load_weights(const int8_t* changes, const int8_t* exported, uint32_t count,
                        int8_t* weights) {
  tfodl::LoadWeights(changes, exported, count, weights);
}

// Returns how many changes were out of bounds.
uint32_t tfodl_store_weights(const int8_t* weights, const int8_t* exported, uint32_t count,
                             int8_t* changes, uint32_t* rng) {
  return tfodl::StoreWeights(weights, exported, count, changes, rng);
}

void tfodl_update_biases(int32_t* biases, const float* steps, uint32_t count, uint32_t* rng) {
  tfodl::WeightUpdater updater(*rng, nullptr, nullptr);
  for (uint32_t i = 0; i < count; ++i) updater.UpdateBias(&biases[i], steps[i]);
  *rng = updater.rng();
}

void tfodl_exp_of_non_positive(const float* x, uint32_t count, float* result) {
  for (uint32_t i = 0; i < count; ++i) result[i] = tfodl::ExpOfNonPositive(x[i]);
}

void tfodl_cos_of_pi(const float* x, uint32_t count, float* result) {
  for (uint32_t i = 0; i < count; ++i) result[i] = tfodl::CosOfPi(x[i]);
}

// Returns NaN when the options are refused.
float tfodl_rate_factor(const uint8_t* blob, uint32_t length, uint32_t n, float alpha) {
  tfodl::RateOptions options;
  if (!tfodl::ParseRate(blob, length, &options)) return tfodl::FloatFromBits(0x7fc00000u);
  return tfodl::RateFactor(options, n, alpha);
}

void tfodl_log_of_one_plus(const float* x, uint32_t count, float* result) {
  for (uint32_t i = 0; i < count; ++i) result[i] = tfodl::LogOfOnePlus(x[i]);
}

void tfodl_uniform(uint32_t* rng, uint32_t count, float* result) {
  for (uint32_t i = 0; i < count; ++i) result[i] = tfodl::NextUniform(rng);
}

}  // extern "C"
