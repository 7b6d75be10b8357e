#include "tfodl/kernels/crop_error.h"

#include <string.h>

#include "tfodl/kernels/error_type.h"
#include "tfodl/float_contract.h"

namespace tfodl {

template <class Error>
void CropError(const CropOptions& options, const Error* error, Error* error_x) {
  const CropOptions& o = options;
  for (uint32_t y = 0; y < o.in_h; ++y) {
    const Error* from = error + ((o.top + y) * o.out_w + o.left) * o.out_c + o.first_c;
    for (uint32_t x = 0; x < o.in_w; ++x) {
      memcpy(error_x, from, o.in_c * sizeof(Error));
      error_x += o.in_c;
      from += o.out_c;
    }
  }
}

template void CropError(const CropOptions& options, const float* error, float* error_x);
template void CropError(const CropOptions& options, const Bfloat16* error, Bfloat16* error_x);

}  // namespace tfodl
