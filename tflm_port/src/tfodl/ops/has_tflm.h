// TFODL_HAS_TFLM: whether the training ops are compiled against TensorFlow Lite Micro's headers.
//
// A sketch that does not include Chirale_TensorFlowLite.h, such as LinearLearner, gets the library
// without them. Anywhere but in an Arduino sketch missing headers are an error.
#ifndef TFODL_OPS_HAS_TFLM_H_
#define TFODL_OPS_HAS_TFLM_H_

#if defined(TFODL_HOST_BRIDGE)
#define TFODL_HAS_TFLM 0
#elif defined(ARDUINO) && defined(__has_include)
#if __has_include("tensorflow/lite/c/common.h")
#define TFODL_HAS_TFLM 1
#else
#define TFODL_HAS_TFLM 0
#endif
#else
#define TFODL_HAS_TFLM 1
#endif

#endif  // TFODL_OPS_HAS_TFLM_H_
