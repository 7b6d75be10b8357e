// TFODL_CROP_BWD: the part of an error that belongs to one input of PAD or CONCATENATION.
//
// inputs: error, state; output: error_x. `error` is only read, so several of these may share it.
#include "tfodl/kernels/crop_error.h"

#include "tfodl/join_options.h"
#include "tfodl/ops/ops.h"
#include "tfodl/state.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_CROP_BWD";

enum Inputs { kError, kState, kInputs };

template <class Error>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  CropOptions options;
  if (data == nullptr || !ParseCrop(data->options, data->length, &options)) {
    return Refuse(kName, "invalid options");
  }
  if (InputCount(node) != kInputs || OutputCount(node) != 1) {
    return Refuse(kName, "wrong number of tensors");
  }
  if (!IsState(Input(context, node, kState))) {
    return Refuse(kName, "the state tensor does not fit");
  }
  if (!IsTensor(Input(context, node, kError), TypeOfErrors<Error>(),
                options.out_h * options.out_w * options.out_c) ||
      !IsWritable(Output(context, node, 0), TypeOfErrors<Error>(),
                  options.in_h * options.in_w * options.in_c)) {
    return Refuse(kName, "a tensor does not fit");
  }
  return kTfLiteOk;
}

template <class Error>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  if (Data<State>(Input(context, node, kState))->active == 0) return kTfLiteOk;
  const OpData* data = GetOpData(node);
  CropOptions options;
  if (!ParseCrop(data->options, data->length, &options)) return kTfLiteError;
  CropError(options, Data<Error>(Input(context, node, kError)),
            Data<Error>(Output(context, node, 0)));
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kCropBwdOp = {kName, InitOpData, Prepare<float>, Invoke<float>};
const OpDefinition kCropBwdBf16Op = {"TFODL_CROP_BWD_BF16", InitOpData, Prepare<Bfloat16>,
                                     Invoke<Bfloat16>};

}  // namespace tfodl
