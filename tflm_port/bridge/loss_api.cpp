// C functions that run the losses on plain buffers, for tests.
#include <stdint.h>

#include "tfodl/kernels/logistic_cross_entropy.h"
#include "tfodl/kernels/squared_error.h"
#include "tfodl/loss_options.h"

extern "C" {

int tfodl_parse_loss(const uint8_t* blob, uint32_t length) {
  tfodl::LossOptions options;
  return tfodl::ParseLoss(blob, length, &options) ? 1 : 0;
}

// result: loss, error.
void tfodl_logistic_cross_entropy(const float* z, int label, float* result) {
  const tfodl::BinaryCrossEntropy found = tfodl::LogisticCrossEntropy(*z, label != 0);
  result[0] = found.loss;
  result[1] = found.error;
}

// result: loss, alpha.
void tfodl_mean_squared_error(uint32_t count, float* difference, float* result) {
  tfodl::MeanSquaredError mean(count);
  for (uint32_t i = 0; i < count; ++i) difference[i] = mean.Add(difference[i]);
  result[0] = mean.loss();
  result[1] = mean.alpha();
}

}  // extern "C"
