// Every op of the library. register.cpp lists them.
#ifndef TFODL_OPS_OPS_H_
#define TFODL_OPS_OPS_H_

#include "tfodl/ops/op.h"

namespace tfodl {

extern const OpDefinition kSeedOp;
extern const OpDefinition kSoftmaxXentOp;
extern const OpDefinition kFullyConnectedBwdOp;
extern const OpDefinition kConv2DBwdOp;
extern const OpDefinition kDepthwiseConv2DBwdOp;
extern const OpDefinition kMaxPool2DBwdOp;
extern const OpDefinition kAveragePool2DBwdOp;
extern const OpDefinition kAddBwdOp;
extern const OpDefinition kAddErrorsOp;
extern const OpDefinition kCropBwdOp;
extern const OpDefinition kLogisticXentOp;
extern const OpDefinition kSquaredErrorOp;
extern const OpDefinition kSoftmaxXentBf16Op;
extern const OpDefinition kFullyConnectedBwdBf16Op;
extern const OpDefinition kConv2DBwdBf16Op;
extern const OpDefinition kDepthwiseConv2DBwdBf16Op;
extern const OpDefinition kMaxPool2DBwdBf16Op;
extern const OpDefinition kAveragePool2DBwdBf16Op;
extern const OpDefinition kAddBwdBf16Op;
extern const OpDefinition kAddErrorsBf16Op;
extern const OpDefinition kCropBwdBf16Op;
extern const OpDefinition kLogisticXentBf16Op;
extern const OpDefinition kSquaredErrorBf16Op;
extern const OpDefinition kReselectOp;
extern const OpDefinition kRateOp;
extern const OpDefinition kAccumulateOp;
extern const OpDefinition kFloatHeadOp;
extern const OpDefinition kFloatHeadBwdOp;
extern const OpDefinition kFullyConnectedOp;
extern const OpDefinition kConv2DOp;
extern const OpDefinition kDepthwiseConv2DOp;
extern const OpDefinition kLoadWeightsOp;
extern const OpDefinition kStoreWeightsOp;

}  // namespace tfodl

#endif  // TFODL_OPS_OPS_H_
