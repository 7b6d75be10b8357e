// A model that infers and learns, whatever computes it: storage and link work on this interface.
#ifndef TFODL_LEARNER_H_
#define TFODL_LEARNER_H_

#include <stdint.h>

#include "tfodl/decision.h"
#include "tfodl/session.h"

namespace tfodl {

// As in TensorFlow Lite.
enum class ElementType : uint8_t { kFloat32 = 1, kInt8 = 9 };

// What a model takes. Samples are written to `input` before every step, which does not keep them.
struct ModelInfo {
  uint32_t id;  // changes with everything that gives the learned variables another meaning
  void* input;
  uint32_t input_bytes;
  ElementType input_type;
  float input_scale;  // of int8: value = scale * (byte - zero point)
  int32_t input_zero_point;
  uint32_t classes;  // 0: no classifier
  float* target;     // wanted outputs in real units, or null
  uint32_t target_bytes;
  const int8_t* output;  // of the last step, or null: value = scale * (byte - zero point)
  uint32_t outputs;
  float output_scale;
  int32_t output_zero_point;
  uint32_t arena_bytes;  // used
};

// What one step did. Prediction and loss are those before the update.
struct Step {
  bool ok;              // false: nothing else counts
  bool trained;         // false: only inferred, or skipped as the sample taught too little
  int32_t prediction;   // class, or -1 without classes
  float probability;    // of that class
  float loss;           // -1 without a label
  float decision;       // D of TinyPropv2
};

class Learner {
 public:
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  // Sets everything up; model() and session() are valid afterwards.
  virtual bool Begin() = 0;

  // Weights, running maxima and counters as exported.
  virtual bool Reset() = 0;

  // Infers only.
  Step Predict() { return Run(-1); }

  // Infers, decides and trains. label: the class; 0 for a model without classes.
  Step Learn(int32_t label) { return AcceptsLabel(label) ? Run(label) : Step{}; }

  bool AcceptsLabel(int32_t label) const {
    const uint32_t labels = model_.classes > 0 ? model_.classes : 1;
    return label >= 0 && static_cast<uint32_t>(label) < labels;
  }

  const ModelInfo& model() const { return model_; }

  // State and learned variables, which may be read and written between two steps.
  const Session& session() const { return session_; }

 protected:
  Learner() = default;
  ~Learner() = default;

  // One step on the input; label < 0 infers only. Leaves State::active 0, so that a state image
  // depends on nothing but what was learned.
  virtual Step Run(int32_t label) = 0;

  static Step StepOf(const Report& report) {
    return Step{true, report.trained != 0.0f, static_cast<int32_t>(report.prediction),
                report.probability, report.loss, report.decision};
  }

  ModelInfo model_ = {};
  Session session_ = {};
};

}  // namespace tfodl

#endif  // TFODL_LEARNER_H_
