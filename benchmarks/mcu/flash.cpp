// The smallest program with all training ops: its size is their flash.
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "TfOdl.h"

extern "C" void Root() {
  static tflite::MicroMutableOpResolver<tfodl::kOpCount> resolver;
  tfodl::AddOps(resolver);
  if (tfodl::CurrentSession().state != nullptr) tfodl::CurrentSession().state->learning_rate = 0.0f;
}
