// Whole training steps inside TensorFlow Lite Micro: prints instructions, "name value" per line.
//
// kModels comes from models.h, which through_tflm.py writes: name, model, bytes, trains.
#include <stdio.h>
#include <stdlib.h>

#include "arduino_core.h"
#include "counter.h"
#include "models.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "TfOdl.h"
#include "tfodl/random.h"

namespace {

constexpr uint32_t kSteps = 20;
alignas(16) uint8_t g_arena[176 * 1024];

uint32_t Invoke(tflite::MicroInterpreter* interpreter) {
  const bench::Counter counter;
  const TfLiteStatus status = interpreter->Invoke();
  const uint32_t spent = counter.Read();
  if (status != kTfLiteOk) {
    printf("FAILED: Invoke\n");
    exit(1);
  }
  return spent;
}

// The mean of kSteps steps on random samples, after a first one that fills the variables.
void Run(const Model& model, tflite::MicroOpResolver* resolver) {
  tflite::MicroInterpreter interpreter(tflite::GetModel(model.data), *resolver, g_arena,
                                       sizeof g_arena);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    printf("FAILED: %s\n", model.name);
    exit(1);
  }
  TfLiteTensor* input = interpreter.input(0);
  uint32_t random = 88172645u;
  uint64_t sum = 0;
  for (uint32_t step = 0; step <= kSteps; ++step) {
    for (size_t i = 0; i < input->bytes; ++i) {
      input->data.int8[i] = static_cast<int8_t>(tfodl::NextRandom(&random) >> 24);
    }
    if (model.trains) interpreter.input(1)->data.i32[0] = static_cast<int32_t>(step % 5);
    const uint32_t spent = Invoke(&interpreter);
    if (step > 0) sum += spent;
  }
  printf("%s %lu\n", model.name, static_cast<unsigned long>(sum / kSteps));
  printf("%s.arena %lu\n", model.name, static_cast<unsigned long>(interpreter.arena_used_bytes()));
}

}  // namespace

int main() {
  tflite::MicroMutableOpResolver<tfodl::kOpCount + 5> resolver;
  resolver.AddFullyConnected();  // of the plain models
  resolver.AddConv2D();
  tfodl::AddFullyConnected(resolver);
  tfodl::AddConv2D(resolver);
  resolver.AddReshape();
  tfodl::AddOps(resolver);
  for (const Model& model : kModels) Run(model, &resolver);
  return 0;
}
