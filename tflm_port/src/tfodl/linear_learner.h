// Softmax regression on int8 features, trained by the kernels of the training ops. It needs no
// TensorFlow Lite Micro: a head for features that something else computes.
//
//   logits = clamp(round((W (x - zero point) + b) * input_scale * weight_scale / logits_scale))
//
// The loss is TFODL_SOFTMAX_XENT's, the update TFODL_FULLY_CONNECTED_BWD's.
#ifndef TFODL_LINEAR_LEARNER_H_
#define TFODL_LINEAR_LEARNER_H_

#include <stdint.h>

#include "tfodl/learner.h"
#include "tfodl/options.h"

namespace tfodl {

struct LinearModel {
  uint32_t features;
  uint32_t classes;
  float input_scale = 1.0f / 127.0f;  // features from -1 to 1
  int32_t input_zero_point = 0;
  float weight_scale = 1.0f / 32.0f;  // weights from -4 to 4
  float logits_scale = 1.0f / 8.0f;   // logits from -16 to 16
  float learning_rate = 0.05f;
  // TinyPropv2's skip rule with D from 0 to 1: samples with D <= threshold are not trained on.
  // 0 trains on every sample.
  float skip_threshold = 0.0f;
  uint32_t rng_seed = 1;
  // To start from; null for zeros. Row-major [classes, features].
  const int8_t* weights = nullptr;
  const int32_t* bias = nullptr;  // in units of input_scale * weight_scale

  constexpr LinearModel(uint32_t n_features, uint32_t n_classes)
      : features(n_features), classes(n_classes) {}
};

class LinearLearner final : public Learner {
 public:
  // Bytes of the arena.
  static constexpr uint32_t ArenaBytes(uint32_t features, uint32_t classes) {
    return static_cast<uint32_t>(sizeof(State)) + 4 * kExponentials +
           classes * (4 + 4 + 1 + features) + features;
  }

  // The arena and the arrays of the model have to stay.
  LinearLearner(const LinearModel& model, void* arena, uint32_t arena_bytes)
      : settings_(model), arena_(static_cast<uint8_t*>(arena)), arena_bytes_(arena_bytes) {}

  // False when the arena is too small or the model makes no sense.
  bool Begin() override;
  bool Reset() override;

 protected:
  Step Run(int32_t label) override;

 private:
  bool SettingsAreValid() const;
  uint32_t ModelId() const;
  void ComputeLogits();

  const LinearModel settings_;
  uint8_t* const arena_;
  const uint32_t arena_bytes_;

  State* state_ = nullptr;
  int8_t* input_ = nullptr;
  int8_t* weights_ = nullptr;
  int32_t* bias_ = nullptr;
  int8_t* logits_ = nullptr;
  float* error_ = nullptr;
  Variable variables_[2] = {};
  Layer layer_ = {};
  Xent loss_ = {};
};

}  // namespace tfodl

#endif  // TFODL_LINEAR_LEARNER_H_
