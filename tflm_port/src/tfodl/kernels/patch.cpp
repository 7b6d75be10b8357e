#include "tfodl/kernels/patch.h"

#include "tfodl/kernels/backward_args.h"

namespace tfodl {

Patch PatchOf(const LayerOptions& o, uint32_t position, uint32_t per_tap) {
  const uint32_t out_y = position / o.out_w;
  const WindowRange y(out_y, o.stride_h, o.pad_top, o.kernel_h, o.in_h);
  const WindowRange x(position - out_y * o.out_w, o.stride_w, o.pad_left, o.kernel_w, o.in_w);
  Patch patch;
  patch.channels = o.in_c;
  patch.pixel = (static_cast<uint32_t>(y.origin + y.begin) * o.in_w +
                 static_cast<uint32_t>(x.origin + x.begin)) *
                o.in_c;
  patch.tap =
      (static_cast<uint32_t>(y.begin) * o.kernel_w + static_cast<uint32_t>(x.begin)) * per_tap;
  patch.columns = static_cast<uint32_t>(x.end - x.begin);
  patch.block.rows = static_cast<uint32_t>(y.end - y.begin);
  patch.block.count = patch.columns * o.in_c;
  patch.block.gap = (o.kernel_w - patch.columns) * per_tap;
  patch.block.sums_gap = (o.in_w - patch.columns) * o.in_c;
  return patch;
}

}  // namespace tfodl
