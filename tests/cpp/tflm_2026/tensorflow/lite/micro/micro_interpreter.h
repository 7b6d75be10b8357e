// Stand-in, see c/common.h.
#ifndef TFODL_TESTS_MICRO_INTERPRETER_H_
#define TFODL_TESTS_MICRO_INTERPRETER_H_

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#define TFLITE_SCHEMA_VERSION (3)

namespace tflite {
namespace micro {

class MicroInterpreter {
 public:
  MicroInterpreter(const tflite::Model* model, const MicroOpResolver& resolver, uint8_t* arena,
                   size_t arena_bytes);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteStatus Reset();
  TfLiteTensor* input(size_t index);
  TfLiteTensor* output(size_t index);
  size_t inputs_size() const;
  size_t outputs_size() const;
  size_t arena_used_bytes() const;
};

}  // namespace micro
}  // namespace tflite

#endif  // TFODL_TESTS_MICRO_INTERPRETER_H_
