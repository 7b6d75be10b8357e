#include "tfodl/linear_learner.h"

#include <string.h>

#include "tfodl/crc.h"
#include "tfodl/float_math.h"
#include "tfodl/kernels/fully_connected.h"
#include "tfodl/layer_step.h"
#include "tfodl/option_checks.h"
#include "tfodl/xent_step.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

// Sums of |w| * |x| <= 127 * 255 must stay inside an int32.
constexpr uint32_t kMaxFeatures = 0x7fffffffu / (127 * 255) / 2;
constexpr uint32_t kMaxClasses = 1024;

uint32_t AddToCrc(uint32_t crc, const void* data, uint32_t bytes) {
  return data == nullptr ? crc : Crc32(data, bytes, crc);
}

}  // namespace

bool LinearLearner::SettingsAreValid() const {
  const LinearModel& m = settings_;
  return m.features >= 1 && m.features <= kMaxFeatures && m.classes >= 2 &&
         m.classes <= kMaxClasses && IsPositiveNumber(m.input_scale) &&
         IsInt8(m.input_zero_point) && IsPositiveNumber(m.weight_scale) &&
         IsPositiveNumber(m.logits_scale) && IsFinite(m.learning_rate) &&
         m.learning_rate >= 0.0f && IsFinite(m.skip_threshold) && m.rng_seed != 0;
}

uint32_t LinearLearner::ModelId() const {
  const LinearModel& m = settings_;
  const float floats[] = {m.input_scale, m.weight_scale, m.logits_scale, m.learning_rate,
                          m.skip_threshold};
  const uint32_t words[] = {m.features, m.classes, static_cast<uint32_t>(m.input_zero_point),
                            m.rng_seed};
  uint32_t crc = Crc32("LinearLearner 1", 15);
  crc = AddToCrc(crc, floats, sizeof floats);
  crc = AddToCrc(crc, words, sizeof words);
  crc = AddToCrc(crc, m.weights, m.features * m.classes);
  crc = AddToCrc(crc, m.bias, m.classes * static_cast<uint32_t>(sizeof(int32_t)));
  return crc != 0 ? crc : 1;
}

bool LinearLearner::Begin() {
  const LinearModel& m = settings_;
  if (!SettingsAreValid() || arena_ == nullptr) return false;
  const uint32_t needed = ArenaBytes(m.features, m.classes);
  const uint32_t misaligned = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(arena_) & 3);
  if (arena_bytes_ < needed || misaligned != 0) return false;

  uint8_t* next = arena_;
  state_ = reinterpret_cast<State*>(next);
  next += sizeof(State);
  bias_ = reinterpret_cast<int32_t*>(next);
  next += m.classes * sizeof(int32_t);
  error_ = reinterpret_cast<float*>(next);
  next += m.classes * sizeof(float);
  float* const exponentials = reinterpret_cast<float*>(next);
  next += kExponentials * sizeof(float);
  weights_ = reinterpret_cast<int8_t*>(next);
  input_ = weights_ + m.features * m.classes;
  logits_ = input_ + m.features;

  LayerOptions& o = layer_.options;
  o = LayerOptions{};
  o.abi_version = kAbiVersion;
  o.flags = kUpdateWeights | kUpdateBias;
  o.in_h = o.in_w = o.out_h = o.out_w = 1;
  o.kernel_h = o.kernel_w = o.stride_h = o.stride_w = 1;
  o.in_c = m.features;
  o.out_c = m.classes;
  o.x_scale = m.input_scale;
  o.x_zero_point = m.input_zero_point;
  o.act_min = -129;
  o.act_max = 128;
  o.sparsifier = kDense;
  o.n_scales = 1;
  layer_.scales = reinterpret_cast<const uint8_t*>(&settings_.weight_scale);
  layer_.mask = nullptr;
  const SkipRule rule = m.skip_threshold == 0.0f ? kSkipNever : kSkipTinyPropV2;
  loss_ = Xent{{kAbiVersion, m.logits_scale, {rule, 0.0f, 1.0f, 1.0f, m.skip_threshold}},
               reinterpret_cast<const uint8_t*>(exponentials)};
  for (uint32_t i = 0; i < kExponentials; ++i) {
    exponentials[i] = m.logits_scale * (static_cast<float>(i) - 255.0f);
  }
  ExpOfNonPositives(exponentials, kExponentials);

  variables_[0] = Variable{weights_, m.features * m.classes};
  variables_[1] = Variable{bias_, m.classes * static_cast<uint32_t>(sizeof(int32_t))};
  session_ = Session{state_, sizeof(State), variables_, 2, nullptr};
  model_ = ModelInfo{};
  model_.id = ModelId();
  model_.input = input_;
  model_.input_bytes = m.features;
  model_.input_type = ElementType::kInt8;
  model_.input_scale = m.input_scale;
  model_.input_zero_point = m.input_zero_point;
  model_.classes = m.classes;
  model_.arena_bytes = needed;
  memset(input_, 0, m.features);
  return Reset();
}

bool LinearLearner::Reset() {
  if (state_ == nullptr) return false;
  CountSeeding();
  memset(state_, 0, sizeof *state_);
  state_->sentinel = model_.id;
  state_->rng = settings_.rng_seed;
  state_->learning_rate = settings_.learning_rate;
  state_->rate_factor = 1.0f;
  const void* seeds[] = {settings_.weights, settings_.bias};
  for (uint32_t i = 0; i < 2; ++i) {
    if (seeds[i] == nullptr) {
      memset(variables_[i].data, 0, variables_[i].bytes);
    } else {
      memcpy(variables_[i].data, seeds[i], variables_[i].bytes);
    }
  }
  return true;
}

void LinearLearner::ComputeLogits() {
  const uint32_t features = settings_.features;
  const int32_t zero_point = settings_.input_zero_point;
  const float factor = settings_.input_scale * settings_.weight_scale / settings_.logits_scale;
  const int8_t* row = weights_;
  for (uint32_t c = 0; c < settings_.classes; ++c, row += features) {
    const int32_t sum = DotProduct(input_, zero_point, row, features);
    // As floats, for a bias may be anywhere in the int32 range.
    const float logit = (static_cast<float>(sum) + static_cast<float>(bias_[c])) * factor;
    logits_[c] = SaturateToInt8(logit);
  }
}

Step LinearLearner::Run(int32_t label) {
  if (state_ == nullptr) return Step{};
  ComputeLogits();
  Report report;
  if (!XentStep(loss_, logits_, settings_.classes, label, state_, error_, &report)) return Step{};
  LayerTensors tensors = {};
  tensors.error = error_;
  tensors.x = input_;
  tensors.y = logits_;
  tensors.weights = weights_;
  tensors.bias = bias_;
  LayerStep(layer_, LayerKind::kFullyConnected, tensors, state_);
  state_->active = 0;  // of this step only
  return StepOf(report);
}

}  // namespace tfodl
