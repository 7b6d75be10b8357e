// Whether a sample trains: the last part of every loss op.
//
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

// A sample with its loss and alpha = sum |error|: fills the report, counts, and sets state->active.
// A loss or alpha that is not finite abandons the step. `finite` says whether both are.
TFODL_INLINE void DecideNow(const SkipSettings& settings, float loss, float alpha, bool finite,
                            State* state, Report* report) {
  ++state->samples;
  report->loss = loss;
  report->decision = 0.0f;
  report->trained = 0.0f;
  report->alpha = alpha;
  state->active = 0;
  if (!finite) {
    AbandonStep(state);
    return;
  }
  float alpha_max = state->alpha_max;
  if (alpha > alpha_max) state->alpha_max = alpha_max = alpha;
  const float share =
      alpha_max > 0.0f ? alpha * (settings.d_max - settings.d_min) / alpha_max : 0.0f;
  report->decision = (settings.d_min + share) * settings.beta;
  if (settings.skip_rule == kSkipNever || report->decision > settings.threshold) {
    state->active = 1;
    ++state->trained;
    report->trained = 1.0f;
  } else {
    ++state->skipped;
  }
}

// The same as a function.
void Decide(const SkipSettings& settings, float loss, float alpha, State* state, Report* report);

}  // namespace tfodl

#endif  // TFODL_DECISION_H_
