#include "tfodl/loss_step.h"

#include "tfodl/kernels/error_type.h"
#include "tfodl/kernels/logistic_cross_entropy.h"
#include "tfodl/kernels/squared_error.h"
#include "tfodl/float_contract.h"

namespace tfodl {

template <class Error>
bool LogisticStep(const LossOptions& options, int8_t logit, int32_t label, State* state,
                  Error* error, Report* report) {
  const float z = options.scale * static_cast<float>(logit - options.zero_point);
  const BinaryCrossEntropy result = LogisticCrossEntropy(z, label == 1);
  report->prediction = z > 0.0f;
  report->probability = result.likelier;
  StartReport(state, report);
  if (label < 0) return true;
  if (label > 1) return false;
  StoreError(result.error, error);
  Decide(options.skip, result.loss, Magnitude(result.error), state, report);
  return true;
}

template bool LogisticStep(const LossOptions& options, int8_t logit, int32_t label, State* state,
                           float* error, Report* report);
template bool LogisticStep(const LossOptions& options, int8_t logit, int32_t label, State* state,
                           Bfloat16* error, Report* report);

template <class Error>
void SquaredErrorStep(const LossOptions& options, const int8_t* output, uint32_t count,
                      int32_t label, const int8_t* int8_target, const float* float_target,
                      State* state, Error* error, Report* report) {
  report->prediction = -1.0f;
  report->probability = 0.0f;
  StartReport(state, report);
  if (label < 0) return;
  MeanSquaredError mean(count);
  for (uint32_t i = 0; i < count; ++i) {
    const float y = options.scale * static_cast<float>(output[i] - options.zero_point);
    const float difference =
        y - (int8_target == nullptr
                 ? float_target[i]
                 : options.target_scale *
                       static_cast<float>(int8_target[i] - options.target_zero_point));
    StoreError(mean.Add(difference), &error[i]);
  }
  Decide(options.skip, mean.loss(), mean.alpha(), state, report);
}

template void SquaredErrorStep(const LossOptions& options, const int8_t* output, uint32_t count,
                               int32_t label, const int8_t* int8_target,
                               const float* float_target, State* state, float* error,
                               Report* report);
template void SquaredErrorStep(const LossOptions& options, const int8_t* output, uint32_t count,
                               int32_t label, const int8_t* int8_target,
                               const float* float_target, State* state, Bfloat16* error,
                               Report* report);

}  // namespace tfodl
