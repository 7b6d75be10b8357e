
#include "tfodl/xent_step.h"

#include "tfodl/kernels/softmax_cross_entropy.h"
#include "tfodl/float_contract.h"

namespace tfodl {

template <class Error>
bool XentStep(const Xent& xent, const int8_t* logits, uint32_t classes, int32_t label, State* state,
              Error* error, Report* report) {
  const SkipSettings& skip = xent.options.skip;
  const Softmax found = SoftmaxOf(xent, logits, classes);
  report->prediction = static_cast<float>(found.best);
  report->probability = found.probability;
  const uint32_t target = static_cast<uint32_t>(label);
  float wrong = found.others * found.probability;
  float loss;
  if (target == found.best && found.others < kLittle) {
    // Nearly all samples that are skipped: as Decide does it, without the rest of this function.
    loss = LogOfOnePlusLittle(found.others);
    const float alpha = 2.0f * wrong;
    if (alpha < state->alpha_max) {
      const float decision = DecisionOf(skip, alpha, state->alpha_max);
      if (Skips(skip, decision)) {
        ++state->samples;
        ++state->skipped;
        state->active = 0;
        report->loss = loss;
        report->decision = decision;
        report->trained = 0.0f;
        report->alpha = alpha;
        return true;
      }
    }
  } else if (target >= classes) {
    StartReport(state, report);
    return label < 0;
  } else {
    loss = LogOfOnePlus(found.others);
    if (target != found.best) {
      const int32_t own = logits[target];
      wrong = (1.0f + (found.others - EntryOf(own, found.entry))) * found.probability;
      loss += xent.options.logits_scale * static_cast<float>(found.best_logit - own);
    }
  }
  Decide(skip, loss, 2.0f * wrong, state, report);
  if (state->active != 0) {
    uint32_t i = 0;
    do {
      StoreError(EntryOf(logits[i], found.entry) * found.probability, &error[i]);
    } while (++i != classes);
    StoreError(-wrong, &error[target]);
  }
  return true;
}

template bool XentStep(const Xent& xent, const int8_t* logits, uint32_t classes, int32_t label,
                       State* state, float* error, Report* report);
template bool XentStep(const Xent& xent, const int8_t* logits, uint32_t classes, int32_t label,
                       State* state, Bfloat16* error, Report* report);

}  // namespace tfodl
