#include "tfodl/xent_step.h"

#include "tfodl/float_math.h"
#include "tfodl/kernels/softmax_cross_entropy.h"

namespace tfodl {

bool XentStep(const XentOptions& options, const int8_t* logits, uint32_t classes, int32_t label,
              State* state, float* error, Report* report) {
  state->active = 0;
  *report = Report{-1.0f, 0.0f, 0.0f, 0.0f};
  if (label < 0) return true;
  if (static_cast<uint32_t>(label) >= classes) return false;

  const CrossEntropy result = SoftmaxCrossEntropy(
      logits, classes, options.logits_scale, static_cast<uint32_t>(label), error);
  ++state->samples;
  report->loss = result.loss;
  report->alpha = result.alpha;
  if (!IsFinite(result.loss) || !IsFinite(result.alpha)) {
    AbandonStep(state);
    return true;
  }

  if (result.alpha > state->alpha_max) state->alpha_max = result.alpha;
  const float share = state->alpha_max > 0.0f
      ? result.alpha * (options.d_max - options.d_min) / state->alpha_max
      : 0.0f;
  report->decision = (options.d_min + share) * options.beta;
  if (options.skip_rule == kSkipNever || report->decision > options.threshold) {
    state->active = 1;
    ++state->trained;
    report->trained = 1.0f;
  } else {
    ++state->skipped;
  }
  return true;
}

}  // namespace tfodl
