// The part of a pooling window that lies inside the input: its first element and its rows.
#ifndef TFODL_KERNELS_POOL_WINDOW_H_
#define TFODL_KERNELS_POOL_WINDOW_H_

#include <stdint.h>

#include "tfodl/kernels/backward_args.h"
#include "tfodl/options.h"

namespace tfodl {

struct PoolWindow {
  uint32_t first;          // of channel 0
  uint32_t rows, columns;
  uint32_t gap;            // elements from the end of a row to the next one

  TFODL_NOINLINE PoolWindow(const PoolOptions& o, uint32_t out_y, uint32_t out_x) {
    const WindowRange y(out_y, o.stride_h, o.pad_top, o.filter_h, o.in_h);
    const WindowRange x(out_x, o.stride_w, o.pad_left, o.filter_w, o.in_w);
    rows = static_cast<uint32_t>(y.end - y.begin);
    columns = static_cast<uint32_t>(x.end - x.begin);
    first = (static_cast<uint32_t>(y.origin + y.begin) * o.in_w +
             static_cast<uint32_t>(x.origin + x.begin)) * o.in_c;
    gap = (o.in_w - columns) * o.in_c;
  }
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_POOL_WINDOW_H_
