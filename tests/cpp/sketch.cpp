// What a sketch writes to use the library.
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "TfOdl.h"

bool AddTrainingOps() {
  using namespace tflite;
  using namespace tfodl;  // brings tflite::micro in, where current TFLM has the resolver
  static MicroMutableOpResolver<kOpCount + 4> resolver;
  return AddOps(resolver) == kTfLiteOk && AddReselection(resolver) == kTfLiteOk;
}

// Of a graph with smaller errors.
bool AddSmallTrainingOps() {
  using namespace tflite;
  using namespace tfodl;
  static MicroMutableOpResolver<kOpCount> resolver;
  return AddBfloat16Ops(resolver) == kTfLiteOk;
}

// Neuron 0 of the lowest layer that trains stays as it is.
bool FreezeOneNeuron() {
  const tfodl::Mask mask = tfodl::MaskOfLayer(0);
  if (mask.bits == nullptr) return false;
  mask.bits[0] = static_cast<uint8_t>(mask.bits[0] & ~1u);
  return true;
}

// A training graph as a learner.
bool Begin(const void* model, uint8_t* arena, uint32_t arena_bytes) {
  using namespace tflite;
  using namespace tfodl;
  static MicroMutableOpResolver<kOpCount + 3> resolver;
  static TflmLearner learner(model, resolver, arena, arena_bytes);
  return learner.Begin() && learner.Predict().ok;
}

// The counters and the weights between two steps.
float LastLearningRate() {
  const tfodl::Session& session = tfodl::CurrentSession();
  if (session.state == nullptr) return 0.0f;
  uint32_t bytes = 0;
  for (uint32_t i = 0; i < session.n_variables; ++i) bytes += session.variables[i].bytes;
  return bytes > 0 ? session.state->learning_rate : 0.0f;
}
