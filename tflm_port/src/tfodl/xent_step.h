// What TFODL_SOFTMAX_XENT does with one sample: loss, error, counters and the TinyPropv2 decision.
#ifndef TFODL_XENT_STEP_H_
#define TFODL_XENT_STEP_H_

#include <stdint.h>

#include "tfodl/decision.h"
#include "tfodl/options.h"
#include "tfodl/state.h"

namespace tfodl {

// label < 0 only infers. Returns false when label >= classes. error: `classes` floats or Bfloat16s,
// written when the sample trains.
template <class Error>
bool XentStep(const Xent& xent, const int8_t* logits, uint32_t classes, int32_t label,
              State* state, Error* error, Report* report);

}  // namespace tfodl

#endif  // TFODL_XENT_STEP_H_
