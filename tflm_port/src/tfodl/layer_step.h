// What a weighted backward op does with one sample, from the error to the updated weights: steps 1
// to 6 of "What a backward op computes" in docs/training-graph.md.
#ifndef TFODL_LAYER_STEP_H_
#define TFODL_LAYER_STEP_H_

#include <stdint.h>

#include "tfodl/kernels/backward_args.h"
#include "tfodl/kernels/conv_2d_backward.h"
#include "tfodl/kernels/depthwise_conv_2d_backward.h"
#include "tfodl/kernels/fully_connected_backward.h"
#include "tfodl/options.h"
#include "tfodl/state.h"

namespace tfodl {

// The tensors of the op. What the flags do not ask for is null.
struct LayerTensors {
  float* error;  // dLoss/dy in, sparse dLoss/dz out
  const int8_t* x;
  const int8_t* y;
  int8_t* weights;
  int32_t* bias;
  float* error_x;
  float* scratch;
};

// Steps 1 to 3 and 6: turns error into the sparse delta_z and counts the work that follows.
// Returns false when the step was abandoned.
bool PrepareDelta(const Layer& layer, LayerKind kind, const LayerTensors& tensors, State* state);

template <class Rounder>
void RunBackwardKernel(LayerKind kind, const BackwardArgs& args, Rounder* rounder) {
  switch (kind) {
    case LayerKind::kFullyConnected:
      FullyConnectedBackward(args, rounder);
      break;
    case LayerKind::kConv2D:
      Conv2DBackward(args, rounder);
      break;
    case LayerKind::kDepthwiseConv2D:
      DepthwiseConv2DBackward(args, rounder);
      break;
  }
}

inline BackwardArgs MakeBackwardArgs(const Layer& layer, const LayerTensors& tensors,
                                     const State& state) {
  return BackwardArgs{layer,           state.learning_rate, tensors.error,   tensors.x,
                      tensors.weights, tensors.bias,        tensors.error_x, tensors.scratch};
}

// Does nothing unless the state says that the sample is being trained.
void LayerStep(const Layer& layer, LayerKind kind, const LayerTensors& tensors, State* state);

}  // namespace tfodl

#endif  // TFODL_LAYER_STEP_H_
