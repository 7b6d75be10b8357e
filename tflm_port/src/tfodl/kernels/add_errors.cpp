#include "tfodl/kernels/add_errors.h"

#include "tfodl/kernels/error_type.h"
#include "tfodl/float_contract.h"

namespace tfodl {

template <class Error>
void AddErrors(const Error* other, uint32_t count, Error* sum) {
  for (uint32_t i = 0; i < count; ++i) StoreError(ToFloat(sum[i]) + ToFloat(other[i]), &sum[i]);
}

template void AddErrors(const float* other, uint32_t count, float* sum);
template void AddErrors(const Bfloat16* other, uint32_t count, Bfloat16* sum);

}  // namespace tfodl
