/* Written by tf-odl export: what the model needs of TensorFlow Lite Micro. */
#ifndef TFODL_MODEL_OPS_H_
#define TFODL_MODEL_OPS_H_

#include "TfOdl.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

constexpr int kForwardOps = $count;
constexpr unsigned kArenaBytes = $arena_bytes;

template <class Resolver>
void AddForwardOps(Resolver& resolver) {
$ops
}

#endif /* TFODL_MODEL_OPS_H_ */
