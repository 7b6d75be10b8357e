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

// The ops with errors as bfloat16 in place of float32. TFODL_SEED has no errors: it is number -1.
constexpr int kBfloat16OpCount = kOpCount - 1;

const char* Bfloat16OpName(int op);
Registration Bfloat16OpRegistration(int op);

// In place of AddOps, for graphs whose errors are bfloat16: room for kOpCount, too.
template <class Resolver>
TfLiteStatus AddBfloat16Ops(Resolver& resolver) {
  for (int op = -1; op < kBfloat16OpCount; ++op) {
    Registration registration = Bfloat16OpRegistration(op);
    if (resolver.AddCustom(Bfloat16OpName(op), &registration) != kTfLiteOk) return kTfLiteError;
  }
  return kTfLiteOk;
}

// The ops that AddOps leaves out, so that sketches without them have no flash for them.
enum SeparateOp : int {
  kReselection,
  kRateSchedule,
  kAccumulation,
  kFloatHead,
  kFloatHeadBackward,
  kFullyConnected,
  kConvolution,
  kDepthwiseConvolution,
  kLoadingWeights,
  kStoringWeights,
  kSeparateOpCount
};

const char* SeparateOpName(int op);
Registration SeparateOpRegistration(int op);

const char* ReselectOpName();
Registration ReselectOpRegistration();

// For graphs whose masks are chosen anew on the board.
template <class Resolver>
TfLiteStatus AddReselection(Resolver& resolver) {
  Registration registration = ReselectOpRegistration();
  return resolver.AddCustom(ReselectOpName(), &registration);
}

const char* RateOpName();
Registration RateOpRegistration();

// For graphs with a schedule of the learning rate, a warm-up or clipped errors.
template <class Resolver>
TfLiteStatus AddRateSchedule(Resolver& resolver) {
  Registration registration = RateOpRegistration();
  return resolver.AddCustom(RateOpName(), &registration);
}

const char* AccumulateOpName();
Registration AccumulateOpRegistration();

// For graphs whose weights change after several samples.
template <class Resolver>
TfLiteStatus AddAccumulation(Resolver& resolver) {
  Registration registration = AccumulateOpRegistration();
  return resolver.AddCustom(AccumulateOpName(), &registration);
}

const char* FloatHeadOpName();
Registration FloatHeadOpRegistration();

// For graphs whose output layer has float32 weights: the layer, and its training.
template <class Resolver>
TfLiteStatus AddFloatHead(Resolver& resolver) {
  Registration registration = FloatHeadOpRegistration();
  return resolver.AddCustom(FloatHeadOpName(), &registration);
}

const char* FloatHeadBackwardOpName();
Registration FloatHeadBackwardOpRegistration();

template <class Resolver>
TfLiteStatus AddFloatHeadBackward(Resolver& resolver) {
  Registration registration = FloatHeadBackwardOpRegistration();
  return resolver.AddCustom(FloatHeadBackwardOpName(), &registration);
}

const char* FullyConnectedOpName();
Registration FullyConnectedOpRegistration();
const char* Conv2DOpName();
Registration Conv2DOpRegistration();
const char* DepthwiseConv2DOpName();
Registration DepthwiseConv2DOpRegistration();

// For graphs whose weighted layers keep their multipliers in flash.
template <class Resolver>
TfLiteStatus AddFullyConnected(Resolver& resolver) {
  Registration registration = FullyConnectedOpRegistration();
  return resolver.AddCustom(FullyConnectedOpName(), &registration);
}

template <class Resolver>
TfLiteStatus AddConv2D(Resolver& resolver) {
  Registration registration = Conv2DOpRegistration();
  return resolver.AddCustom(Conv2DOpName(), &registration);
}

template <class Resolver>
TfLiteStatus AddDepthwiseConv2D(Resolver& resolver) {
  Registration registration = DepthwiseConv2DOpRegistration();
  return resolver.AddCustom(DepthwiseConv2DOpName(), &registration);
}

const char* LoadWeightsOpName();
Registration LoadWeightsOpRegistration();
const char* StoreWeightsOpName();
Registration StoreWeightsOpRegistration();

// For graphs whose weights stay in flash, with what has changed in RAM.
template <class Resolver>
TfLiteStatus AddLoadWeights(Resolver& resolver) {
  Registration registration = LoadWeightsOpRegistration();
  return resolver.AddCustom(LoadWeightsOpName(), &registration);
}

template <class Resolver>
TfLiteStatus AddStoreWeights(Resolver& resolver) {
  Registration registration = StoreWeightsOpRegistration();
  return resolver.AddCustom(StoreWeightsOpName(), &registration);
}

}  // namespace tfodl

#endif  // TFODL_OPS_REGISTER_H_
