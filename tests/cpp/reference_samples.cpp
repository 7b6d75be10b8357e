// The order of steps that TflmLearner takes where reference samples are wanted: prints label and
// input of each. TensorFlow Lite Micro is a stand-in that wants both samples before the first
// labelled one and after each of them; the pointers to parts of a model only tell types apart.
#include <stdio.h>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tfodl/tflm_learner.h"

namespace {

constexpr uint32_t kReferences = 2;
constexpr uint32_t kInputs = 3;
const int8_t kSamples[kReferences][kInputs] = {{11, 1, 1}, {22, 2, 2}};

int8_t g_input[kInputs];
int32_t g_label;
int8_t g_output[2];
float g_report[6];
TfLiteTensor g_tensors[4];
tfodl::State g_state;
uint32_t g_next = 0;

const uint32_t kSeedOptions[6] = {tfodl::kAbiVersion, 77, 1, 0, 0, 0};

}  // namespace

namespace flatbuffers {

// A vector of n elements is its first one here; which one is meant, its type tells.
template <>
int32_t Vector<int32_t>::Get(uint32_t) const { return 0; }
template <>
const uint8_t* Vector<uint8_t>::data() const {
  return reinterpret_cast<const uint8_t*>(kSeedOptions);
}
template <>
uint32_t Vector<uint8_t>::size() const { return sizeof kSeedOptions; }

const char* String::c_str() const { return reinterpret_cast<const char*>(this); }

}  // namespace flatbuffers

namespace tflite {
namespace {

const Operator g_ops[2] = {};
const Operator* const g_list[2] = {&g_ops[0], &g_ops[1]};

template <class T>
const T* Something() {
  static const char kByte = 0;
  return reinterpret_cast<const T*>(&kByte);
}

}  // namespace

uint32_t Operator::opcode_index() const { return this == &g_ops[0] ? 0 : 1; }
const flatbuffers::Vector<int32_t>* Operator::inputs() const {
  return Something<flatbuffers::Vector<int32_t>>();
}
const flatbuffers::Vector<uint8_t>* Operator::custom_options() const {
  return Something<flatbuffers::Vector<uint8_t>>();
}
const flatbuffers::String* OperatorCode::custom_code() const {
  return reinterpret_cast<const flatbuffers::String*>(this);
}
const flatbuffers::Vector<int32_t>* SubGraph::outputs() const {
  return Something<flatbuffers::Vector<int32_t>>();
}
const flatbuffers::Vector<const Operator*>* SubGraph::operators() const {
  return Something<flatbuffers::Vector<const Operator*>>();
}
uint32_t Model::version() const { return TFLITE_SCHEMA_VERSION; }
const flatbuffers::Vector<const SubGraph*>* Model::subgraphs() const {
  return Something<flatbuffers::Vector<const SubGraph*>>();
}
const flatbuffers::Vector<const OperatorCode*>* Model::operator_codes() const {
  return Something<flatbuffers::Vector<const OperatorCode*>>();
}
const Model* GetModel(const void* data) { return static_cast<const Model*>(data); }

}  // namespace tflite

namespace flatbuffers {

template <>
const tflite::SubGraph* Vector<const tflite::SubGraph*>::Get(uint32_t) const {
  return tflite::Something<tflite::SubGraph>();
}
template <>
const tflite::OperatorCode* Vector<const tflite::OperatorCode*>::Get(uint32_t index) const {
  const char* const names[] = {"TFODL_SEED", "TFODL_SOFTMAX_XENT"};
  return reinterpret_cast<const tflite::OperatorCode*>(names[index]);
}
template <>
const tflite::Operator* const* Vector<const tflite::Operator*>::begin() const {
  return tflite::g_list;
}
template <>
const tflite::Operator* const* Vector<const tflite::Operator*>::end() const {
  return tflite::g_list + 2;
}

}  // namespace flatbuffers

namespace tflite {

MicroInterpreter::MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t*, size_t) {
  g_tensors[0] = TfLiteTensor{kTfLiteInt8, {}, {1.0f, 0}, sizeof g_input};
  g_tensors[0].data.int8 = g_input;
  g_tensors[1].data.i32 = &g_label;
  g_tensors[2] = TfLiteTensor{kTfLiteInt8, {}, {1.0f, 0}, sizeof g_output};
  g_tensors[2].data.int8 = g_output;
  g_tensors[3].data.f = g_report;
}
TfLiteStatus MicroInterpreter::AllocateTensors() { return kTfLiteOk; }
TfLiteStatus MicroInterpreter::Reset() {  // variables to zero
  g_next = 0;
  return kTfLiteOk;
}
TfLiteTensor* MicroInterpreter::input(size_t index) { return &g_tensors[index]; }
TfLiteTensor* MicroInterpreter::output(size_t index) { return &g_tensors[2 + index]; }
size_t MicroInterpreter::inputs_size() const { return 2; }
size_t MicroInterpreter::outputs_size() const { return 2; }
size_t MicroInterpreter::arena_used_bytes() const { return 1; }

// Class 1 for odd inputs; the loss is the input.
TfLiteStatus MicroInterpreter::Invoke() {
  printf("%d:%d ", g_label, g_input[0]);
  tfodl::PublishSession(tfodl::Session{&g_state, sizeof g_state, nullptr, 0, nullptr});
  g_report[0] = g_input[0];
  g_report[4] = static_cast<float>(g_input[0] % 2);
  if (g_label >= 0) g_next = 0;
  if (g_label == tfodl::kReferenceLabel) ++g_next;
  if (g_next < kReferences) tfodl::PublishReference(tfodl::Reference{kSamples[g_next], kInputs});
  g_input[0] = -99;  // TFLM reuses the memory
  g_state.active = 1;
  return kTfLiteOk;
}

}  // namespace tflite

int main() {
  static uint8_t arena[1];
  const tflite::MicroOpResolver resolver;
  tfodl::TflmLearner learner(arena, resolver, arena, 1);
  if (!learner.Begin()) return 1;
  const int32_t labels[] = {1, -1, 0};
  for (int i = 0; i < 3; ++i) {
    printf("\n");
    static_cast<int8_t*>(learner.model().input)[0] = static_cast<int8_t>(5 + 2 * i);
    const tfodl::Step step = labels[i] < 0 ? learner.Predict() : learner.Learn(labels[i]);
    printf("class %d loss %.0f active %u", step.prediction, static_cast<double>(step.loss),
           static_cast<unsigned>(g_state.active));
  }
  printf("\n");
  return learner.Reset() ? 0 : 1;
}
