// Whether a sample trains: the last part of every loss op.
//
//   loss      = ln(ratio) + more
//   alpha_max = max(alpha_max, alpha)
//   D         = (d_min + alpha (d_max - d_min) / alpha_max) * beta
//   trained   when skip_rule is never or D > threshold
#ifndef TFODL_DECISION_H_
#define TFODL_DECISION_H_

#include <stdint.h>

#include "tfodl/float_math.h"
#include "tfodl/inline.h"
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

// The state and report a loss op starts from; all there is to say of a sample without a label.
TFODL_INLINE void StartReport(State* state, Report* report) {
  state->active = 0;
  *report = Report{-1.0f, 0.0f, 0.0f, 0.0f};
}

// A sample with loss = ln(ratio) + more, ratio >= 1, and alpha = sum |error|: fills the report,
// counts, and sets state->active. A loss or alpha that is not finite abandons the step.
void Decide(const SkipSettings& settings, float ratio, float more, float alpha, State* state,
            Report* report);

}  // namespace tfodl

#endif  // TFODL_DECISION_H_
