#include "tfodl/xent_step.h"

#include "tfodl/kernels/softmax_cross_entropy.h"
#include "tfodl/float_contract.h"

namespace tfodl {

bool XentStep(const XentOptions& options, const int8_t* logits, uint32_t classes, int32_t label,
              State* state, float* error, Report* report) {
  StartReport(state, report);
  if (label < 0) return true;
  if (static_cast<uint32_t>(label) >= classes) return false;
  const CrossEntropy result = SoftmaxCrossEntropy(
      logits, classes, options.logits_scale, static_cast<uint32_t>(label), error);
  const SkipSettings skip = {options.skip_rule, options.d_min, options.d_max, options.beta,
                             options.threshold};
  Decide(skip, result.loss, result.alpha, state, report);
  return true;
}

}  // namespace tfodl
