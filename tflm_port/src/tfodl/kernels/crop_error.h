// Backward pass of PAD and CONCATENATION: of the error of the output, the box that the input fills.
//
//   error_x[y, x, c] = error[top + y, left + x, first_c + c]
//
// error: [out_h, out_w, out_c], error_x: [in_h, in_w, in_c].
#ifndef TFODL_KERNELS_CROP_ERROR_H_
#define TFODL_KERNELS_CROP_ERROR_H_

#include "tfodl/join_options.h"

namespace tfodl {

template <class Error>
void CropError(const CropOptions& options, const Error* error, Error* error_x);

}  // namespace tfodl

#endif  // TFODL_KERNELS_CROP_ERROR_H_
