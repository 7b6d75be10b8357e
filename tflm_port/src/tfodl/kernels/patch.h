// The part of a window that lies inside the input.
#ifndef TFODL_KERNELS_PATCH_H_
#define TFODL_KERNELS_PATCH_H_

#include <stdint.h>

#include "tfodl/kernels/add_scaled.h"
#include "tfodl/options.h"

namespace tfodl {

struct Patch {
  uint32_t pixel;     // the first element of its first pixel of the input
  uint32_t tap;       // the first weight of its first tap of the window
  uint32_t columns;
  uint32_t channels;  // elements of a pixel
  RowBlock block;     // of weights that are added to sums of inputs
};

// Of output position out_y * out_w + out_x. per_tap: how many weights lie between two taps.
Patch PatchOf(const LayerOptions& options, uint32_t position, uint32_t per_tap);

}  // namespace tfodl

#endif  // TFODL_KERNELS_PATCH_H_
