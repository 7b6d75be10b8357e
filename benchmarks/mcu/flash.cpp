// The smallest program with all training ops: its size is their flash. TFODL_ADD registers more, as
// few graphs need: the difference is theirs. TFODL_ADD_OPS is AddOps or AddBfloat16Ops.
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "TfOdl.h"

#ifndef TFODL_ADD
#define TFODL_ADD(resolver)
#endif

extern "C" void Root() {
  static tflite::MicroMutableOpResolver<tfodl::kOpCount + tfodl::kSeparateOpCount> resolver;
  tfodl::TFODL_ADD_OPS(resolver);
  TFODL_ADD(resolver);
  if (tfodl::CurrentSession().state != nullptr) tfodl::CurrentSession().state->learning_rate = 0.0f;
}
