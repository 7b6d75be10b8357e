#include "tfodl/decision.h"

#include "tfodl/float_math.h"
#include "tfodl/float_contract.h"

namespace tfodl {

void Decide(const SkipSettings& settings, float loss, float alpha, State* state, Report* report) {
  ++state->samples;
  report->loss = loss;
  report->alpha = alpha;
  if (!IsFinite(loss) || !IsFinite(alpha)) {
    AbandonStep(state);
    return;
  }
  if (alpha > state->alpha_max) state->alpha_max = alpha;
  const float share = state->alpha_max > 0.0f
      ? alpha * (settings.d_max - settings.d_min) / state->alpha_max
      : 0.0f;
  report->decision = (settings.d_min + share) * settings.beta;
  if (settings.skip_rule == kSkipNever || report->decision > settings.threshold) {
    state->active = 1;
    ++state->trained;
    report->trained = 1.0f;
  } else {
    ++state->skipped;
  }
}

}  // namespace tfodl
