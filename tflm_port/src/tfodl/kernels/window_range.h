// Which elements of a sliding window lie inside the input.
#ifndef TFODL_KERNELS_WINDOW_RANGE_H_
#define TFODL_KERNELS_WINDOW_RANGE_H_

#include <stdint.h>

#include "tfodl/inline.h"

namespace tfodl {

// The part of a window that lies inside the input, along one axis.
struct WindowRange {
  int32_t origin;      // input coordinate of window element 0, may be negative
  int32_t begin, end;  // window elements inside the input

  TFODL_INLINE WindowRange(uint32_t position, uint32_t stride, uint32_t pad, uint32_t window,
                           uint32_t in)
      : origin(static_cast<int32_t>(position * stride - pad)),
        begin(origin < 0 ? -origin : 0),
        end(static_cast<int32_t>(in) - origin < static_cast<int32_t>(window)
                ? static_cast<int32_t>(in) - origin
                : static_cast<int32_t>(window)) {}
};

// The other way round: the outputs, along one axis, for which element `tap` of the window lies
// inside the input, and the input coordinate of the first of them.
struct TapRange {
  uint32_t begin, end;
  uint32_t first;  // means nothing where there are none

  TapRange(uint32_t tap, uint32_t stride, uint32_t pad, uint32_t in, uint32_t out)
      : begin(tap < pad ? (pad - tap + stride - 1) / stride : 0),
        end(in + pad > tap ? (in + pad - tap - 1) / stride + 1 : 0),
        first(begin * stride + tap - pad) {
    if (end > out) end = out;
    if (begin > end) begin = end;
  }
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_WINDOW_RANGE_H_
