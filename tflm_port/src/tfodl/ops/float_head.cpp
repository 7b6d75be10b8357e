// TFODL_FLOAT_HEAD: the output layer with float32 weights; see kernels/float_head.h.
//
// inputs: x (int8), weights (float32), bias (float32); outputs: y (int8), scratch (float32, as many
// as x has elements).
#include "tfodl/float_head_options.h"
#include "tfodl/kernels/float_head.h"
#include "tfodl/ops/ops.h"
#include "tfodl/options.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_FLOAT_HEAD";

enum Inputs { kX, kWeights, kBias, kInputs };
enum Outputs { kY, kScratch, kOutputs };

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* x = Input(context, node, kX);
  const TfLiteEvalTensor* y = Output(context, node, kY);
  const uint32_t inputs = ElementCount(x);
  const uint32_t outputs = ElementCount(y);
  const OpData* data = GetOpData(node);
  FloatHead head;
  if (data == nullptr || !ParseFloatHead(data->options, data->length, outputs, &head)) {
    return Refuse(kName, "invalid options");
  }
  if (InputCount(node) != kInputs || OutputCount(node) != kOutputs) {
    return Refuse(kName, "wrong number of tensors");
  }
  if (!IsTensor(x, kTfLiteInt8, inputs) || !IsWritable(y, kTfLiteInt8, outputs) ||
      inputs > kMaxElements / outputs ||
      !IsWritable(Input(context, node, kWeights), kTfLiteFloat32, inputs * outputs) ||
      !IsWritable(Input(context, node, kBias), kTfLiteFloat32, outputs) ||
      !IsWritable(Output(context, node, kScratch), kTfLiteFloat32, inputs)) {
    return Refuse(kName, "a tensor does not fit");
  }
  return kTfLiteOk;
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const FloatHead head = ReadFloatHead(GetOpData(node)->options);
  const TfLiteEvalTensor* x = Input(context, node, kX);
  const TfLiteEvalTensor* y = Output(context, node, kY);
  const uint32_t inputs = ElementCount(x);
  float* const centered = OutputData<float>(context, node, kScratch);
  CenterInputs(Data<int8_t>(x), head.options.x_zero_point, inputs, centered);
  FloatHeadForward(head, centered, inputs, ElementCount(y),
                   InputData<float>(context, node, kWeights),
                   InputData<float>(context, node, kBias), Data<int8_t>(y));
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kFloatHeadOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
