// Whether a sample trains: the last part of every loss op.
//
//   alpha_max = max(alpha_max, alpha)
//   D         = (d_min + alpha (d_max - d_min) / alpha_max) * beta
//   trained   when skip_rule is never or D > threshold
#ifndef TFODL_DECISION_H_
#define TFODL_DECISION_H_

#include <stdint.h>

#include "tfodl/inline.h"
#include "tfodl/options.h"
#include "tfodl/state.h"
#include "tfodl/float_contract.h"

namespace tfodl {

struct Report {
  float loss;
  float decision;
  float trained;
  float alpha;
  float prediction;   // class, or -1 without classes
  float probability;  // of that class
};

// Of the report tensor.
constexpr uint32_t kReportFloats = sizeof(Report) / sizeof(float);
static_assert(kReportFloats == 6, "six floats without gaps");

// The state a loss op starts from, and all there is to say of a sample without a label.
TFODL_INLINE void StartReport(State* state, Report* report) {
  state->active = 0;
  report->loss = -1.0f;
  report->decision = report->trained = report->alpha = 0.0f;
}

// D for alpha_max > 0.
TFODL_INLINE float DecisionOf(const SkipSettings& settings, float alpha, float alpha_max) {
  const float share = alpha * (settings.d_max - settings.d_min) / alpha_max;
  return (settings.d_min + share) * settings.beta;
}

TFODL_INLINE bool Skips(const SkipSettings& settings, float decision) {
  return settings.skip_rule != kSkipNever && !(decision > settings.threshold);
}

// A sample with this loss and alpha = sum |error|: fills the report but the prediction, counts, and
// sets state->active. A loss that is not finite abandons the step; else alpha is finite, too.
void Decide(const SkipSettings& settings, float loss, float alpha, State* state, Report* report);

}  // namespace tfodl

#endif  // TFODL_DECISION_H_
