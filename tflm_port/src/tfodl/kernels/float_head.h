// A fully connected layer with float32 weights between int8 activations: the head of a network
// whose other layers are int8. Its weights w and biases b are in the steps of the int8 ones that
// they start from, so that these are w and b rounded.
//
//   y[o]        = round(factor[o] * (b[o] + sum over i of w[o, i] (x[i] - x_zp))) + y_zp
//   error_x[i]  = sum over o of delta[o] s[o] w[o, i]     (w before its update)
//   w[o, i]    -= lr * x_scale / s[o] * delta[o] * (x[i] - x_zp)
//   b[o]       -= lr / (x_scale * s[o]) * delta[o]
//
// s are the scales of the int8 weights. All in float32, i and o upwards. Only neurons with delta !=
// 0 are touched. A weight moves by at most 127 (x[i] - x_zp), a bias by 2^40.
#ifndef TFODL_KERNELS_FLOAT_HEAD_H_
#define TFODL_KERNELS_FLOAT_HEAD_H_

#include <stdint.h>

#include "tfodl/float_head_options.h"
#include "tfodl/options.h"

namespace tfodl {

// centered: `count` floats, x[i] - x_zp.
void CenterInputs(const int8_t* x, int32_t zero_point, uint32_t count, float* centered);

void FloatHeadForward(const FloatHead& head, const float* centered, uint32_t inputs,
                      uint32_t outputs, const float* weights, const float* bias, int8_t* y);

struct FloatHeadTensors {
  const float* centered;
  float* weights;  // [out_c, in_c]
  float* bias;
  float* error_x;  // null without kPropagate
};

void FloatHeadBackward(const Layer& layer, float learning_rate, const float* delta,
                       const FloatHeadTensors& tensors);

}  // namespace tfodl

#endif  // TFODL_KERNELS_FLOAT_HEAD_H_
