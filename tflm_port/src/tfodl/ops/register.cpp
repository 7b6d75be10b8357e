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

const OpDefinition& Bfloat16Definition(int op) {
  static const OpDefinition* const kOps[] = {
      &kSeedOp,
      &kSoftmaxXentBf16Op,
      &kFullyConnectedBwdBf16Op,
      &kConv2DBwdBf16Op,
      &kDepthwiseConv2DBwdBf16Op,
      &kMaxPool2DBwdBf16Op,
      &kAveragePool2DBwdBf16Op,
      &kAddBwdBf16Op,
      &kAddErrorsBf16Op,
      &kCropBwdBf16Op,
      &kLogisticXentBf16Op,
      &kSquaredErrorBf16Op,
  };
  static_assert(sizeof(kOps) / sizeof(kOps[0]) == kBfloat16OpCount + 1, "one for each with errors");
  return *kOps[op + 1];
}

const OpDefinition& SeparateDefinition(int op) {
  static const OpDefinition* const kOps[] = {
      &kReselectOp,     &kRateOp,           &kAccumulateOp, &kFloatHeadOp,
      &kFloatHeadBwdOp, &kFullyConnectedOp, &kConv2DOp,     &kDepthwiseConv2DOp,
      &kLoadWeightsOp,  &kStoreWeightsOp};
  static_assert(sizeof(kOps) / sizeof(kOps[0]) == kSeparateOpCount, "the order is SeparateOp's");
  return *kOps[op];
}

Registration RegistrationOf(const OpDefinition& definition) {
  Registration registration{};
  registration.init = definition.init;
  registration.prepare = definition.prepare;
  registration.invoke = definition.invoke;
  return registration;
}

}  // namespace

const char* OpName(int op) { return Definition(op).name; }

Registration OpRegistration(int op) { return RegistrationOf(Definition(op)); }

const char* Bfloat16OpName(int op) { return Bfloat16Definition(op).name; }

Registration Bfloat16OpRegistration(int op) { return RegistrationOf(Bfloat16Definition(op)); }

const char* SeparateOpName(int op) { return SeparateDefinition(op).name; }

Registration SeparateOpRegistration(int op) { return RegistrationOf(SeparateDefinition(op)); }

const char* ReselectOpName() { return kReselectOp.name; }

Registration ReselectOpRegistration() { return RegistrationOf(kReselectOp); }

const char* RateOpName() { return kRateOp.name; }

Registration RateOpRegistration() { return RegistrationOf(kRateOp); }

const char* AccumulateOpName() { return kAccumulateOp.name; }

Registration AccumulateOpRegistration() { return RegistrationOf(kAccumulateOp); }

const char* FloatHeadOpName() { return kFloatHeadOp.name; }

Registration FloatHeadOpRegistration() { return RegistrationOf(kFloatHeadOp); }

const char* FloatHeadBackwardOpName() { return kFloatHeadBwdOp.name; }

Registration FloatHeadBackwardOpRegistration() { return RegistrationOf(kFloatHeadBwdOp); }

const char* FullyConnectedOpName() { return kFullyConnectedOp.name; }

Registration FullyConnectedOpRegistration() { return RegistrationOf(kFullyConnectedOp); }

const char* Conv2DOpName() { return kConv2DOp.name; }

Registration Conv2DOpRegistration() { return RegistrationOf(kConv2DOp); }

const char* DepthwiseConv2DOpName() { return kDepthwiseConv2DOp.name; }

Registration DepthwiseConv2DOpRegistration() { return RegistrationOf(kDepthwiseConv2DOp); }

const char* LoadWeightsOpName() { return kLoadWeightsOp.name; }

Registration LoadWeightsOpRegistration() { return RegistrationOf(kLoadWeightsOp); }

const char* StoreWeightsOpName() { return kStoreWeightsOp.name; }

Registration StoreWeightsOpRegistration() { return RegistrationOf(kStoreWeightsOp); }

}  // namespace tfodl
