// Stand-in with the declarations that the ops use, as in current TFLM: everything in tflite::micro.
// Compiled by the tests only: it shows that the glue is well-formed, not that it works.
#ifndef TFODL_TESTS_COMMON_H_
#define TFODL_TESTS_COMMON_H_

#include <stddef.h>
#include <stdint.h>

namespace tflite {
namespace micro {

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType {
  kTfLiteNoType = 0,
  kTfLiteFloat32 = 1,
  kTfLiteInt32 = 2,
  kTfLiteInt16 = 7,
  kTfLiteInt8 = 9
};

struct TfLiteIntArray {
  int size;
  int data[1];
};

union TfLitePtrUnion {
  int32_t* i32;
  float* f;
  int8_t* int8;
  void* data;
};

struct TfLiteEvalTensor {
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  TfLiteType type;
};

struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
};

struct TfLiteTensor {
  TfLiteType type;
  TfLitePtrUnion data;
  TfLiteQuantizationParams params;
  size_t bytes;
};

struct TfLiteContext {
  void* impl_;
};

struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  void* user_data;
};

}  // namespace micro
}  // namespace tflite

#endif  // TFODL_TESTS_COMMON_H_
