// What the losses beside softmax and cross entropy do with one sample: loss, error, counters and
// the TinyPropv2 decision.
#ifndef TFODL_LOSS_STEP_H_
#define TFODL_LOSS_STEP_H_

#include <stdint.h>

#include "tfodl/decision.h"
#include "tfodl/loss_options.h"
#include "tfodl/state.h"

namespace tfodl {

// TFODL_LOGISTIC_XENT. label < 0 only infers. Returns false when label > 1. error: one.
template <class Error>
bool LogisticStep(const LossOptions& options, int8_t logit, int32_t label, State* state,
                  Error* error, Report* report);

// TFODL_SQUARED_ERROR. label < 0 only infers. error: `count` of them. One of int8_target and
// float_target has the `count` wanted outputs, the other is null.
template <class Error>
void SquaredErrorStep(const LossOptions& options, const int8_t* output, uint32_t count,
                      int32_t label, const int8_t* int8_target, const float* float_target,
                      State* state, Error* error, Report* report);

}  // namespace tfodl

#endif  // TFODL_LOSS_STEP_H_
