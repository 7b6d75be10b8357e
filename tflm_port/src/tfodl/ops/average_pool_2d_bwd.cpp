// TFODL_AVERAGE_POOL_2D_BWD: see pool_bwd.h for its tensors.
#include "tfodl/ops/ops.h"
#include "tfodl/ops/pool_bwd.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_AVERAGE_POOL_2D_BWD";
const char kBf16Name[] = "TFODL_AVERAGE_POOL_2D_BWD_BF16";

template <class Error>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  return PreparePoolBwd<Error>(context, node, false, NameOf<Error>(kName, kBf16Name));
}

template <class Error>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  return InvokePoolBwd<Error>(context, node, false);
}

}  // namespace

const OpDefinition kAveragePool2DBwdOp = {kName, InitOpData, Prepare<float>, Invoke<float>};
const OpDefinition kAveragePool2DBwdBf16Op = {kBf16Name, InitOpData,
                                              Prepare<Bfloat16>, Invoke<Bfloat16>};

}  // namespace tfodl
