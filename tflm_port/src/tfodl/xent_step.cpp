#include "tfodl/optimize.h"

#include "tfodl/xent_step.h"

#include "tfodl/kernels/softmax_cross_entropy.h"
#include "tfodl/float_contract.h"

namespace tfodl {

template <class Error>
bool XentStep(const Xent& xent, const int8_t* logits, uint32_t classes, int32_t label, State* state,
              Error* error, Report* report) {
  const uint32_t target = static_cast<uint32_t>(label);
  if (target >= classes) {
    StartReport(state, report);
    return label < 0;
  }
  const CrossEntropy found = SoftmaxCrossEntropy(xent, logits, classes, target);
  Decide(xent.options.skip, found.ratio, found.distance, 2.0f * found.wrong, state, report);
  if (state->active != 0) SoftmaxError(found, logits, classes, target, error);
  return true;
}

template bool XentStep(const Xent& xent, const int8_t* logits, uint32_t classes, int32_t label,
                       State* state, float* error, Report* report);
template bool XentStep(const Xent& xent, const int8_t* logits, uint32_t classes, int32_t label,
                       State* state, Bfloat16* error, Report* report);

}  // namespace tfodl
