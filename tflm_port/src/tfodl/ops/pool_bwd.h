// Glue shared by the two pooling backward ops.
//
// inputs: error, state, x, y; output: error_x.
#ifndef TFODL_OPS_POOL_BWD_H_
#define TFODL_OPS_POOL_BWD_H_

#include "tfodl/ops/op.h"
#include "tfodl/options.h"
#include "tfodl/state.h"

namespace tfodl {

struct PoolTensors {
  State* state;
  float* error;  // dLoss/dy, overwritten
  const int8_t* x;
  const int8_t* y;
  float* error_x;
};

// needs_x: the op looks at its forward input.
TfLiteStatus PreparePoolBwd(TfLiteContext* context, TfLiteNode* node, bool needs_x,
                            const char* name);

PoolTensors GetPoolTensors(const TfLiteContext* context, const TfLiteNode* node);

// Applies the mask of the fused activation. Returns false, and abandons the step, when the error is
// not finite.
bool PreparePoolError(const PoolOptions& options, const PoolTensors& tensors);

}  // namespace tfodl

#endif  // TFODL_OPS_POOL_BWD_H_
