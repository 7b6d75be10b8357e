// The errors that a tensor gets from several readers, added up: sum[i] += other[i], `count` of
// them.
#ifndef TFODL_KERNELS_ADD_ERRORS_H_
#define TFODL_KERNELS_ADD_ERRORS_H_

#include <stdint.h>

namespace tfodl {

template <class Error>
void AddErrors(const Error* other, uint32_t count, Error* sum);

}  // namespace tfodl

#endif  // TFODL_KERNELS_ADD_ERRORS_H_
