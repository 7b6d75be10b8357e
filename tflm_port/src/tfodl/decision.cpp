#include "tfodl/optimize.h"

#include "tfodl/decision.h"

#include "tfodl/float_math.h"
#include "tfodl/float_contract.h"

namespace tfodl {

void Decide(const SkipSettings& settings, float ratio, float more, float alpha, State* state,
            Report* report) {
  const float loss = LogOfAtLeastOne(ratio) + more;
  ++state->samples;
  report->loss = loss;
  report->alpha = alpha;
  if (!IsFinite(loss) || !IsFinite(alpha)) {
    report->decision = 0.0f;
    report->trained = 0.0f;
    AbandonStep(state);
    return;
  }
  float alpha_max = state->alpha_max;
  if (alpha > alpha_max) state->alpha_max = alpha_max = alpha;
  const float share =
      alpha_max > 0.0f ? alpha * (settings.d_max - settings.d_min) / alpha_max : 0.0f;
  const float decision = (settings.d_min + share) * settings.beta;
  report->decision = decision;
  if (settings.skip_rule == kSkipNever || decision > settings.threshold) {
    state->active = 1;
    ++state->trained;
    report->trained = 1.0f;
  } else {
    state->active = 0;
    ++state->skipped;
    report->trained = 0.0f;
  }
}

}  // namespace tfodl
