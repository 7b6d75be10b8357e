/* Written by tf-odl export: what the model needs of TensorFlow Lite Micro. */
#ifndef TFODL_MODEL_OPS_H_
#define TFODL_MODEL_OPS_H_

#include "TfOdl.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

constexpr int kForwardOps = 5;
constexpr unsigned kArenaBytes = 5120;

template <class Resolver>
void AddForwardOps(Resolver& resolver) {
  resolver.AddMaxPool2D();
  resolver.AddReshape();
  tfodl::AddFullyConnected(resolver);
  tfodl::AddConv2D(resolver);
  tfodl::AddDepthwiseConv2D(resolver);
}

#endif /* TFODL_MODEL_OPS_H_ */
