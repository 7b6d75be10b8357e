// What TFODL_ACCUMULATE does at the end of a step that has trained: it counts the sample, and after
// so many of them the sums of their gradients change the weights.
//
// A sum S is the number 256 high + low of two int8, in units of 1 / 256 of a weight, less than 0
// where the weight has to fall. The backward ops have made it as they update weights that have a
// residual.
//
//   kKeepRest        w += k, S -= 256 k, k = floor(S / 256 + 1/2)
//   kRoundAtRandom   w -= SR(-S / 256), S = 0  (stochastic_update.h); eight sums of a row that are
//                    all 0 draw no number
//
// Sums of biases are whole steps, int32.
#ifndef TFODL_ACCUMULATE_STEP_H_
#define TFODL_ACCUMULATE_STEP_H_

#include <stdint.h>

#include "tfodl/accumulate_options.h"
#include "tfodl/state.h"

namespace tfodl {

// Of one layer; what it does not train is null.
struct SumTensors {
  int8_t* weights;
  int8_t* sums;  // [2, rows, fan_in], high and low
  int32_t* bias;
  int32_t* bias_sums;  // [rows]
};

// Counts a sample. Returns whether the sums are complete; the count starts again then.
bool CountSample(const AccumulateOptions& options, uint32_t* count);

void ApplySums(const Sums& sums, uint32_t rule, const SumTensors& tensors, State* state);

}  // namespace tfodl

#endif  // TFODL_ACCUMULATE_STEP_H_
