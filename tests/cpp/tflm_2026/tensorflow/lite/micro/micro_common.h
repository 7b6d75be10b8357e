// Stand-in, see c/common.h.
#ifndef TFODL_TESTS_MICRO_COMMON_H_
#define TFODL_TESTS_MICRO_COMMON_H_

#include "tensorflow/lite/c/common.h"

namespace tflite {
namespace micro {

struct TFLMRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  void (*reset)(TfLiteContext* context, void* buffer);
  int32_t builtin_code;
  const char* custom_name;
};

}  // namespace micro
}  // namespace tflite

#endif  // TFODL_TESTS_MICRO_COMMON_H_
