#include "tfodl/board/device.h"

#include <string.h>

#include "tfodl/float_math.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

// Halves to even, as the PC does, so that a sample has the same bytes on both.
int8_t QuantizeToInt8(float value, float scale, int32_t zero_point) {
  constexpr float kBeyondInt8 = 1024.0f;
  const float steps = value / scale;
  if (!(steps > -kBeyondInt8)) return -128;
  if (steps > kBeyondInt8) return 127;
  int32_t code = FloorToInt(steps);
  const float rest = steps - static_cast<float>(code);
  if (rest > 0.5f || (rest == 0.5f && code % 2 != 0)) ++code;
  code += zero_point;
  return static_cast<int8_t>(code < -128 ? -128 : code > 127 ? 127 : code);
}

}  // namespace

bool Device::begin() {
  is_ready_ = learner_.Begin();
  if (is_ready_) keeper_.Begin();
  return is_ready_;
}

void Device::poll() {
  if (!is_ready_) return;
  link_.Poll();
  keeper_.Poll(clock_.milliseconds());
}

bool Device::SetInput(const int8_t* sample) {
  const ModelInfo& model = learner_.model();
  if (model.input_type != ElementType::kInt8) return false;
  memcpy(model.input, sample, model.input_bytes);
  return true;
}

bool Device::SetInput(const float* sample) {
  const ModelInfo& model = learner_.model();
  if (model.input_type == ElementType::kFloat32) {
    memcpy(model.input, sample, model.input_bytes);
    return true;
  }
  int8_t* input = static_cast<int8_t*>(model.input);
  for (uint32_t i = 0; i < model.input_bytes; ++i) {
    input[i] = QuantizeToInt8(sample[i], model.input_scale, model.input_zero_point);
  }
  return true;
}

bool Device::SetTarget(const float* targets) {
  const ModelInfo& model = learner_.model();
  if (model.target == nullptr) return false;
  memcpy(model.target, targets, model.target_bytes);
  return true;
}

Step Device::RunOnInput(bool is_set, bool learns, int32_t label) {
  if (!is_set) return Step{};
  const uint32_t start = clock_.microseconds();
  const Step step = learns ? learner_.Learn(label) : learner_.Predict();
  const uint32_t spent = clock_.microseconds() - start;
  if (learns) keeper_.CountStep(step);
  link_.TellOfStep(step, spent);
  return step;
}

Step Device::predict(const float* sample) {
  return RunOnInput(is_ready_ && SetInput(sample), false, 0);
}

Step Device::predict(const int8_t* sample) {
  return RunOnInput(is_ready_ && SetInput(sample), false, 0);
}

Step Device::learn(const float* sample, int32_t label) {
  return RunOnInput(is_ready_ && SetInput(sample), true, label);
}

Step Device::learn(const int8_t* sample, int32_t label) {
  return RunOnInput(is_ready_ && SetInput(sample), true, label);
}

Step Device::learnTargets(const float* sample, const float* targets) {
  return RunOnInput(is_ready_ && SetInput(sample) && SetTarget(targets), true, 0);
}

Step Device::learnTargets(const int8_t* sample, const float* targets) {
  return RunOnInput(is_ready_ && SetInput(sample) && SetTarget(targets), true, 0);
}

float Device::output(uint32_t i) const {
  const ModelInfo& model = learner_.model();
  if (model.output == nullptr || i >= model.outputs) return 0.0f;
  return model.output_scale * static_cast<float>(model.output[i] - model.output_zero_point);
}

}  // namespace tfodl
