#include "tfodl/kernels/crop_error.h"

#include <string.h>

#include "tfodl/float_contract.h"

namespace tfodl {

void CropError(const CropOptions& options, const float* error, float* error_x) {
  const CropOptions& o = options;
  for (uint32_t y = 0; y < o.in_h; ++y) {
    const float* from = error + ((o.top + y) * o.out_w + o.left) * o.out_c + o.first_c;
    for (uint32_t x = 0; x < o.in_w; ++x) {
      memcpy(error_x, from, o.in_c * sizeof(float));
      error_x += o.in_c;
      from += o.out_c;
    }
  }
}

}  // namespace tfodl
