// TFODL_FULLY_CONNECTED. inputs: x, weights, bias; outputs: y.
#include "tfodl/kernels/fully_connected.h"

#include "tfodl/ops/op.h"
#include "tfodl/ops/ops.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_FULLY_CONNECTED";

enum Inputs { kX, kWeights, kBias, kInputs };

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  FullyConnectedLayer layer;
  if (data == nullptr || !ParseFullyConnected(data->options, data->length, &layer)) {
    return Refuse(kName, "invalid options");
  }
  if (InputCount(node) != kInputs || OutputCount(node) != 1) {
    return Refuse(kName, "wrong number of tensors");
  }
  if (node->inputs->data[kX] == node->outputs->data[0]) {
    return Refuse(kName, "the output is the input");
  }
  const FullyConnectedOptions& o = layer.options;
  const TfLiteEvalTensor* bias = Input(context, node, kBias);
  if (!IsTensor(Input(context, node, kX), kTfLiteInt8, o.rows * o.in_c) ||
      !IsTensor(Input(context, node, kWeights), kTfLiteInt8, o.in_c * o.out_c) ||
      (bias != nullptr && !IsTensor(bias, kTfLiteInt32, o.out_c))) {
    return Refuse(kName, "an input does not fit");
  }
  if (!IsWritable(Output(context, node, 0), kTfLiteInt8, o.rows * o.out_c)) {
    return Refuse(kName, "the output does not fit");
  }
  return kTfLiteOk;
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  FullyConnected(ReadFullyConnected(GetOpData(node)->options),
                 InputData<int8_t>(context, node, kX), InputData<int8_t>(context, node, kWeights),
                 InputData<int32_t>(context, node, kBias), OutputData<int8_t>(context, node, 0));
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kFullyConnectedOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
