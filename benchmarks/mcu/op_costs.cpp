// What every op of some models costs inside TensorFlow Lite Micro: prints "name op kind count" per
// op and "name arena bytes" per model.
//
// kModels comes from models.h, which op_costs.py writes: name, model, trains.
#include <stdio.h>
#include <stdlib.h>

#include "arduino_core.h"
#include "counter.h"
#include "models.h"
#include "op_costs_resolver.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tfodl/random.h"

namespace {

// The first is not counted. The others have the end of one accumulation among them.
constexpr uint32_t kSteps = 5;
constexpr uint32_t kMaxOps = 400;
alignas(16) uint8_t g_arena[3 * 1024 * 1024];

// Adds up the instructions of each op over the steps after the first.
class OpCounts : public tflite::MicroProfilerInterface {
 public:
  uint32_t BeginEvent(const char* tag) override {
    tags_[next_] = tag;
    counter_ = bench::Counter();
    return next_++;
  }
  void EndEvent(uint32_t op) override {
    const uint32_t spent = counter_.Read();
    if (counting_) sums_[op] += spent;
  }
  void NextStep(bool counting) {
    next_ = 0;
    counting_ = counting;
  }
  void Print(const char* name) const {
    for (uint32_t op = 0; op < next_; ++op) {
      printf("%s %lu %s %lu\n", name, static_cast<unsigned long>(op), tags_[op],
             static_cast<unsigned long>(sums_[op] / (kSteps - 1)));
    }
  }

 private:
  bench::Counter counter_;
  const char* tags_[kMaxOps] = {};
  uint64_t sums_[kMaxOps] = {};
  uint32_t next_ = 0;
  bool counting_ = false;
};

void Run(const Model& model, const tflite::MicroOpResolver& resolver) {
  OpCounts counts;
  tflite::MicroInterpreter interpreter(tflite::GetModel(model.data), resolver, g_arena,
                                       sizeof g_arena, nullptr, &counts);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    printf("FAILED: %s\n", model.name);
    exit(1);
  }
  TfLiteTensor* input = interpreter.input(0);
  uint32_t random = 88172645u;
  for (uint32_t step = 0; step < kSteps; ++step) {
    for (size_t i = 0; i < input->bytes; ++i) {
      input->data.int8[i] = static_cast<int8_t>(tfodl::NextRandom(&random) >> 24);
    }
    if (model.trains) interpreter.input(1)->data.i32[0] = static_cast<int32_t>(step % 2);
    counts.NextStep(step > 0);
    if (interpreter.Invoke() != kTfLiteOk) {
      printf("FAILED: %s\n", model.name);
      exit(1);
    }
  }
  counts.Print(model.name);
  printf("%s arena %lu\n", model.name,
         static_cast<unsigned long>(interpreter.arena_used_bytes()));
}

}  // namespace

int main() {
  Resolver resolver;
  AddAll(resolver);
  for (const Model& model : kModels) Run(model, resolver);
  return 0;
}
