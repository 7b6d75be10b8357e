#include "tfodl/optimize.h"

#include "tfodl/xent_step.h"

#include "tfodl/kernels/softmax_cross_entropy.h"
#include "tfodl/float_contract.h"

namespace tfodl {

bool XentStep(const Xent& xent, const int8_t* logits, uint32_t classes, int32_t label, State* state,
              float* error, Report* report) {
  StartReport(state, report);
  if (label < 0) return true;
  const uint32_t target = static_cast<uint32_t>(label);
  if (target >= classes) return false;
  const CrossEntropy found = SoftmaxCrossEntropy(xent, logits, classes, target);
  Decide(xent.options.skip, found.loss, 2.0f * found.wrong, state, report);
  if (state->active != 0) SoftmaxError(found, logits, classes, target, error);
  return true;
}

}  // namespace tfodl
