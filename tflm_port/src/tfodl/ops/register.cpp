#include "tfodl/ops/register.h"

#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const OpDefinition& Definition(int op) {
  static const OpDefinition* const kOps[] = {
      &kSeedOp,               &kSoftmaxXentOp,  &kFullyConnectedBwdOp, &kConv2DBwdOp,
      &kDepthwiseConv2DBwdOp, &kMaxPool2DBwdOp, &kAveragePool2DBwdOp,  &kAddBwdOp,
      &kAddErrorsOp,          &kCropBwdOp,      &kLogisticXentOp,      &kSquaredErrorOp,
  };
  static_assert(sizeof(kOps) / sizeof(kOps[0]) == kOpCount, "kOpCount counts the list");
  return *kOps[op];
}

}  // namespace

const char* OpName(int op) { return Definition(op).name; }

Registration OpRegistration(int op) {
  Registration registration{};
  registration.init = Definition(op).init;
  registration.prepare = Definition(op).prepare;
  registration.invoke = Definition(op).invoke;
  return registration;
}

}  // namespace tfodl
