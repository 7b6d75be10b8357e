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
const char kBf16Name[] = "TFODL_CROP_BWD_BF16";

enum Inputs { kError, kState, kInputs };

template <class Error>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  CropOptions options;
  if (data == nullptr || !ParseCrop(data->options, data->length, &options)) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "invalid options");
  }
  if (InputCount(node) != kInputs || OutputCount(node) != 1) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "wrong number of tensors");
  }
  if (!IsState(Input(context, node, kState))) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "the state tensor does not fit");
  }
  if (!IsTensor(Input(context, node, kError), TypeOfErrors<Error>(),
                options.out_h * options.out_w * options.out_c) ||
      !IsWritable(Output(context, node, 0), TypeOfErrors<Error>(),
                  options.in_h * options.in_w * options.in_c)) {
    return Refuse(NameOf<Error>(kName, kBf16Name), "a tensor does not fit");
  }
  return kTfLiteOk;
}

template <class Error>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  if (InputData<State>(context, node, kState)->active == 0) return kTfLiteOk;
  const OpData* data = GetOpData(node);
  CropOptions options;
  if (!ParseCrop(data->options, data->length, &options)) return kTfLiteError;
  CropError(options, InputData<Error>(context, node, kError),
            OutputData<Error>(context, node, 0));
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kCropBwdOp = {kName, InitOpData, Prepare<float>, Invoke<float>};
const OpDefinition kCropBwdBf16Op = {kBf16Name, InitOpData, Prepare<Bfloat16>, Invoke<Bfloat16>};

}  // namespace tfodl
