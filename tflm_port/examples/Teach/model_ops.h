/* Written by tf-odl export: what the model needs of TensorFlow Lite Micro. */
#ifndef TFODL_MODEL_OPS_H_
#define TFODL_MODEL_OPS_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

constexpr int kForwardOps = 5;
constexpr unsigned kArenaBytes = 5120;

template <class Resolver>
void AddForwardOps(Resolver& resolver) {
  resolver.AddConv2D();
  resolver.AddDepthwiseConv2D();
  resolver.AddMaxPool2D();
  resolver.AddReshape();
  resolver.AddFullyConnected();
}

#endif /* TFODL_MODEL_OPS_H_ */
