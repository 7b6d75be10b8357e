// Stand-in, see c/common.h.
#ifndef TFODL_TESTS_MICRO_CONTEXT_H_
#define TFODL_TESTS_MICRO_CONTEXT_H_

#include "tensorflow/lite/c/common.h"

namespace tflite {
namespace micro {

void* MicroContextAllocatePersistentBuffer(TfLiteContext* context, size_t bytes);
TfLiteEvalTensor* MicroContextGetEvalTensor(const TfLiteContext* context, int index);

}  // namespace micro
}  // namespace tflite

#endif  // TFODL_TESTS_MICRO_CONTEXT_H_
