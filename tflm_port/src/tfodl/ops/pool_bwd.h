// Glue shared by the two pooling backward ops.
//
// inputs: error, state, x, y; output: error_x.
#ifndef TFODL_OPS_POOL_BWD_H_
#define TFODL_OPS_POOL_BWD_H_

#include "tfodl/ops/op.h"
#include "tfodl/options.h"
#include "tfodl/state.h"

namespace tfodl {

template <class Error>
struct PoolTensors {
  State* state;
  Error* error;  // dLoss/dy, overwritten
  const int8_t* x;
  const int8_t* y;
  Error* error_x;
};

// needs_x: the op looks at its forward input.
template <class Error>
TfLiteStatus PreparePoolBwd(TfLiteContext* context, TfLiteNode* node, bool needs_x,
                            const char* name);

template <class Error>
PoolTensors<Error> GetPoolTensors(const TfLiteContext* context, const TfLiteNode* node);

// Applies the mask of the fused activation. Returns false, and abandons the step, when the error is
// not finite.
template <class Error>
bool PreparePoolError(const PoolOptions& options, const PoolTensors<Error>& tensors);

}  // namespace tfodl

#endif  // TFODL_OPS_POOL_BWD_H_
