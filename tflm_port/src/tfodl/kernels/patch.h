// The part of a window that lies inside the input.
#ifndef TFODL_KERNELS_PATCH_H_
#define TFODL_KERNELS_PATCH_H_

#include <stdint.h>

#include "tfodl/options.h"

namespace tfodl {

struct Patch {
  uint32_t pixel;  // its first pixel of the input
  uint32_t tap;    // its first tap of the window
  uint32_t rows, columns;
};

// Of output position out_y * out_w + out_x.
Patch PatchOf(const LayerOptions& options, uint32_t position);

}  // namespace tfodl

#endif  // TFODL_KERNELS_PATCH_H_
