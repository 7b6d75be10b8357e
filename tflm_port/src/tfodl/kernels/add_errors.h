// The errors that a tensor gets from several readers, added up: sum[i] += other[i], `count` floats.
#ifndef TFODL_KERNELS_ADD_ERRORS_H_
#define TFODL_KERNELS_ADD_ERRORS_H_

#include <stdint.h>

namespace tfodl {

void AddErrors(const float* other, uint32_t count, float* sum);

}  // namespace tfodl

#endif  // TFODL_KERNELS_ADD_ERRORS_H_
