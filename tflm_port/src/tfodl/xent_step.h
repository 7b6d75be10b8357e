// What TFODL_SOFTMAX_XENT does with one sample: loss, error, counters and the TinyPropv2 decision.
//
//   alpha_max = max(alpha_max, alpha)
//   D         = (d_min + alpha (d_max - d_min) / alpha_max) * beta
//   trained   when skip_rule is never or D > threshold
#ifndef TFODL_XENT_STEP_H_
#define TFODL_XENT_STEP_H_

#include <stdint.h>

#include "tfodl/options.h"
#include "tfodl/state.h"

namespace tfodl {

struct Report {
  float loss;
  float decision;
  float trained;
  float alpha;
};
static_assert(sizeof(Report) == 4 * sizeof(float), "the report tensor has four floats");

// label < 0 only infers. Returns false when label >= classes. error: `classes` floats.
bool XentStep(const XentOptions& options, const int8_t* logits, uint32_t classes, int32_t label,
              State* state, float* error, Report* report);

}  // namespace tfodl

#endif  // TFODL_XENT_STEP_H_
