// The list of the training ops, for any resolver with TFLM's AddCustom(name, registration).
#ifndef TFODL_OPS_REGISTER_H_
#define TFODL_OPS_REGISTER_H_

#include "tfodl/ops/compat.h"

namespace tfodl {

constexpr int kOpCount = 12;

const char* OpName(int op);
Registration OpRegistration(int op);

// Resolver: MicroMutableOpResolver<N> with room for kOpCount more ops. It copies the registrations.
template <class Resolver>
TfLiteStatus AddOps(Resolver& resolver) {
  for (int op = 0; op < kOpCount; ++op) {
    Registration registration = OpRegistration(op);
    if (resolver.AddCustom(OpName(op), &registration) != kTfLiteOk) return kTfLiteError;
  }
  return kTfLiteOk;
}

const char* ReselectOpName();
Registration ReselectOpRegistration();

// For graphs whose masks are chosen anew on the board: one op more, which AddOps leaves out so that
// other sketches have no flash for it.
template <class Resolver>
TfLiteStatus AddReselection(Resolver& resolver) {
  Registration registration = ReselectOpRegistration();
  return resolver.AddCustom(ReselectOpName(), &registration);
}

const char* RateOpName();
Registration RateOpRegistration();

// Likewise for graphs with a schedule of the learning rate, a warm-up or clipped errors.
template <class Resolver>
TfLiteStatus AddRateSchedule(Resolver& resolver) {
  Registration registration = RateOpRegistration();
  return resolver.AddCustom(RateOpName(), &registration);
}

}  // namespace tfodl

#endif  // TFODL_OPS_REGISTER_H_
