// Glue shared by the two pooling backward ops, and the mask of an activation, which TFODL_ADD_BWD
// has, too.
//
// inputs: error, state, x, y; output: error_x. Only the maximum needs x.
#ifndef TFODL_OPS_POOL_BWD_H_
#define TFODL_OPS_POOL_BWD_H_

#include "tfodl/ops/op.h"
#include "tfodl/state.h"

namespace tfodl {

// Applies the mask of an activation. Returns false, and abandons the step, when the error is
// not finite.
template <class Error>
bool MaskOrAbandon(const int8_t* y, int32_t act_min, int32_t act_max, uint32_t count, Error* error,
                   State* state);

template <class Error>
TfLiteStatus PreparePoolBwd(TfLiteContext* context, TfLiteNode* node, bool is_maximum,
                            const char* name);

template <class Error>
TfLiteStatus InvokePoolBwd(TfLiteContext* context, TfLiteNode* node, bool is_maximum);

}  // namespace tfodl

#endif  // TFODL_OPS_POOL_BWD_H_
