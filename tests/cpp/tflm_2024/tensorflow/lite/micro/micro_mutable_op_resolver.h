// Stand-in, see c/common.h.
#ifndef TFODL_TESTS_MICRO_MUTABLE_OP_RESOLVER_H_
#define TFODL_TESTS_MICRO_MUTABLE_OP_RESOLVER_H_

#include "tensorflow/lite/c/common.h"

namespace tflite {

class MicroOpResolver {};

template <unsigned int capacity>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus AddCustom(const char* name, TfLiteRegistration* registration) {
    if (length_ == capacity) return kTfLiteError;
    registrations_[length_] = *registration;
    registrations_[length_++].custom_name = name;
    return kTfLiteOk;
  }
  TfLiteStatus AddConv2D() { return kTfLiteOk; }
  TfLiteStatus AddDepthwiseConv2D() { return kTfLiteOk; }
  TfLiteStatus AddFullyConnected() { return kTfLiteOk; }
  TfLiteStatus AddMaxPool2D() { return kTfLiteOk; }
  TfLiteStatus AddReshape() { return kTfLiteOk; }

 private:
  TfLiteRegistration registrations_[capacity];
  unsigned int length_ = 0;
};

}  // namespace tflite

#endif  // TFODL_TESTS_MICRO_MUTABLE_OP_RESOLVER_H_
