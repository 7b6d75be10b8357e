// A training graph (docs/training-graph.md) in TensorFlow Lite Micro as a Learner. Only a header,
// so that the library compiles without TensorFlow Lite Micro.
#ifndef TFODL_TFLM_LEARNER_H_
#define TFODL_TFLM_LEARNER_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tfodl/decision.h"
#include "tfodl/learner.h"
#include "tfodl/ops/compat.h"
#include "tfodl/options.h"
#include "tfodl/reselect_step.h"
#include "tfodl/session.h"
#include "tfodl/float_contract.h"

namespace tfodl {

// Where an object is constructed: <new> is not on every board.
struct InPlace {
  void* memory;
};

}  // namespace tfodl

inline void* operator new(size_t, tfodl::InPlace place) noexcept { return place.memory; }

namespace tfodl {

class TflmLearner final : public Learner {
 public:
  // model: model_train.tflite; the resolver has its forward ops and the training ops (AddOps) by
  // the time of Begin(). All have to stay. The arena is used by nobody else.
  TflmLearner(const void* model, const MicroOpResolver& resolver, uint8_t* arena,
              uint32_t arena_bytes)
      : model_data_(model), resolver_(resolver), arena_(arena), arena_bytes_(arena_bytes) {}

  // False, with the reason in TensorFlow Lite Micro's log, when the model is no training graph, an
  // op is missing from the resolver, or the arena is too small. Takes one inference, as the weights
  // exist only after the first one, and those of the reference samples that are wanted.
  bool Begin() override {
    if (interpreter_ != nullptr) return true;
    const auto* graph = GetModel(model_data_);
    if (arena_ == nullptr || graph->version() != TFLITE_SCHEMA_VERSION || !ReadGraph(graph)) {
      return false;
    }
    interpreter_ =
        new (InPlace{memory_}) MicroInterpreter(graph, resolver_, arena_, arena_bytes_);
    if (interpreter_->AllocateTensors() != kTfLiteOk || interpreter_->inputs_size() < 2 ||
        interpreter_->outputs_size() < 2) {
      interpreter_ = nullptr;
      return false;
    }
    DescribeModel();
    if (!Restart()) {
      interpreter_ = nullptr;
      return false;
    }
    session_ = CurrentSession();
    return true;
  }

  bool Reset() override {
    if (interpreter_ == nullptr) return false;
    // All variables to zero, so that TFODL_SEED copies the exported weights again.
    return interpreter_->Reset() == kTfLiteOk && Restart();
  }

 protected:
  Step Run(int32_t label) override {
    if (interpreter_ == nullptr || !Invoke(label)) return Step{};
    Report report;
    memcpy(&report, interpreter_->output(1)->data.data, sizeof report);
    const Step step = StepOf(report);
    Observe();  // overwrites the outputs. Where it fails the masks stay; this step is done
    session_.state->active = 0;
    return step;
  }

 private:
  enum class Loss { kSoftmax, kLogistic, kSquaredError };

  // What the ops tell: the model id and the kind of loss.
  template <class Graph>
  bool ReadGraph(const Graph* graph) {
    const auto* subgraph = graph->subgraphs()->Get(0);
    bool has_loss = false;
    for (const auto* op : *subgraph->operators()) {
      const auto* name = graph->operator_codes()->Get(op->opcode_index())->custom_code();
      if (name == nullptr) continue;
      SeedOptions seed;
      const auto* options = op->custom_options();
      if (strcmp(name->c_str(), "TFODL_SEED") == 0 && options != nullptr &&
          ParseSeed(options->data(), options->size(), &seed)) {
        model_.id = seed.sentinel;
      }
      const Loss losses[] = {Loss::kSoftmax, Loss::kLogistic, Loss::kSquaredError};
      const char* const names[] = {"TFODL_SOFTMAX_XENT", "TFODL_LOGISTIC_XENT",
                                   "TFODL_SQUARED_ERROR"};
      for (int i = 0; i < 3; ++i) {
        // Also of errors as bfloat16: the name goes on.
        if (strncmp(name->c_str(), names[i], strlen(names[i])) != 0) continue;
        has_loss = true;
        loss_ = losses[i];
      }
    }
    return model_.id != 0 && has_loss;
  }

  void DescribeModel() {
    const TfLiteTensor* input = interpreter_->input(0);
    const TfLiteTensor* output = interpreter_->output(0);
    model_.input = input->data.data;
    model_.input_bytes = static_cast<uint32_t>(input->bytes);
    model_.input_type = input->type == kTfLiteInt8 ? ElementType::kInt8 : ElementType::kFloat32;
    model_.input_scale = input->params.scale;
    model_.input_zero_point = input->params.zero_point;
    model_.output = output->data.int8;
    model_.outputs = static_cast<uint32_t>(output->bytes);
    model_.output_scale = output->params.scale;
    model_.output_zero_point = output->params.zero_point;
    model_.classes = loss_ == Loss::kSoftmax ? model_.outputs : loss_ == Loss::kLogistic ? 2 : 0;
    if (interpreter_->inputs_size() > 2) {
      model_.target = interpreter_->input(2)->data.f;
      model_.target_bytes = static_cast<uint32_t>(interpreter_->input(2)->bytes);
    }
    model_.arena_bytes = static_cast<uint32_t>(interpreter_->arena_used_bytes());
  }

  bool Restart() {
    memset(model_.input, 0, model_.input_bytes);
    return Invoke(-1) && Observe();
  }

  // Runs the reference samples that the choice of neurons waits for: none without TFODL_RESELECT,
  // else, with velocity, all of them after every `interval` labelled samples.
  bool Observe() {
    for (Reference wanted = WantedReference(); wanted.data != nullptr; wanted = WantedReference()) {
      if (wanted.bytes != model_.input_bytes) return false;
      memcpy(model_.input, wanted.data, wanted.bytes);
      if (!Invoke(kReferenceLabel)) return false;
    }
    return true;
  }

  bool Invoke(int32_t label) {
    interpreter_->input(1)->data.i32[0] = label;
    return interpreter_->Invoke() == kTfLiteOk;
  }

  const void* const model_data_;
  const MicroOpResolver& resolver_;
  uint8_t* const arena_;
  const uint32_t arena_bytes_;

  MicroInterpreter* interpreter_ = nullptr;
  alignas(MicroInterpreter) uint8_t memory_[sizeof(MicroInterpreter)];
  Loss loss_ = Loss::kSoftmax;
};

}  // namespace tfodl

#endif  // TFODL_TFLM_LEARNER_H_
