#include "tfodl/ops/loss.h"

namespace tfodl {
namespace {

enum Outputs { kError, kReport, kOutputs };

}  // namespace

template <class Error>
TfLiteStatus PrepareLoss(TfLiteContext* context, TfLiteNode* node, int inputs, const char* name) {
  if (InputCount(node) != inputs || OutputCount(node) != kOutputs) {
    return Refuse(name, "wrong number of tensors");
  }
  const TfLiteEvalTensor* output = Input(context, node, kLossOutput);
  const uint32_t count = ElementCount(output);
  if (!IsTensor(output, kTfLiteInt8, count) ||
      !IsTensor(Input(context, node, kLossLabel), kTfLiteInt32, 1) ||
      !IsState(Input(context, node, kLossState)) ||
      !IsWritable(Output(context, node, kError), TypeOfErrors<Error>(), count) ||
      !IsWritable(Output(context, node, kReport), kTfLiteFloat32, kReportFloats)) {
    return Refuse(name, "a tensor does not fit");
  }
  return kTfLiteOk;
}

template <class Error>
LossTensors<Error> GetLossTensors(const TfLiteContext* context, const TfLiteNode* node) {
  const TfLiteEvalTensor* output = Input(context, node, kLossOutput);
  return {Data<int8_t>(output),
                     ElementCount(output),
                     *InputData<int32_t>(context, node, kLossLabel),
                     InputData<State>(context, node, kLossState),
                     OutputData<Error>(context, node, kError),
                     OutputData<Report>(context, node, kReport)};
}

template TfLiteStatus PrepareLoss<float>(TfLiteContext* context, TfLiteNode* node, int inputs,
                                         const char* name);
template TfLiteStatus PrepareLoss<Bfloat16>(TfLiteContext* context, TfLiteNode* node, int inputs,
                                            const char* name);
template LossTensors<float> GetLossTensors(const TfLiteContext* context, const TfLiteNode* node);
template LossTensors<Bfloat16> GetLossTensors(const TfLiteContext* context,
                                              const TfLiteNode* node);

}  // namespace tfodl
