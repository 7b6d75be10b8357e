#include "tfodl/optimize.h"

#include "tfodl/decision.h"

#include "tfodl/float_math.h"
#include "tfodl/float_contract.h"

namespace tfodl {

TFODL_COLD void Decide(const SkipSettings& settings, float loss, float alpha, State* state,
                       Report* report) {
  float decision = 0.0f;
  bool trains = false;
  ++state->samples;
  if (!IsFinite(loss)) {
    AbandonStep(state);
  } else {
    if (alpha > state->alpha_max) state->alpha_max = alpha;
    decision = state->alpha_max > 0.0f ? DecisionOf(settings, alpha, state->alpha_max)
                                       : settings.d_min * settings.beta;
    trains = !Skips(settings, decision);
    ++(trains ? state->trained : state->skipped);
    state->active = trains;
  }
  report->loss = loss;
  report->decision = decision;
  report->trained = trains;
  report->alpha = alpha;
}

}  // namespace tfodl
