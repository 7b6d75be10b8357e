#include "tfodl/optimize.h"

#include "tfodl/kernels/input_sums.h"

#include "tfodl/float_contract.h"

namespace tfodl {

TFODL_COLD InputSums<Bfloat16>::InputSums(const BackwardArgs& args, LayerKind kind,
                                          Bfloat16* error_x)
    : args_(args), kind_(kind), next_(error_x), row_(0) {
  const LayerOptions& o = args.layer.options;
  Clear(args.scratch, RowsHeld(o) * o.in_w * o.in_c);
}

TFODL_COLD int32_t* InputSums<Bfloat16>::At(uint32_t position, const Patch& patch) {
  const LayerOptions& o = args_.layer.options;
  const uint32_t below = position / o.out_w * o.stride_h;
  Advance(below < o.pad_top ? 0 : below - o.pad_top);
  return args_.scratch + (patch.pixel - row_ * o.in_w * o.in_c);
}

void InputSums<Bfloat16>::Advance(uint32_t row) {
  const LayerOptions& o = args_.layer.options;
  const uint32_t line = o.in_w * o.in_c;
  const uint32_t others = (RowsHeld(o) - 1) * line;
  int32_t* const sums = args_.scratch;
  for (; row_ < row && row_ < o.in_h; ++row_) {
    ToRealErrors(args_.layer, kind_, args_.unit, o.in_w, sums);
    for (uint32_t i = 0; i < line; ++i) StoreError(FloatFromBits(LoadWord(sums + i)), next_++);
    for (uint32_t i = 0; i < others; ++i) sums[i] = sums[line + i];
    Clear(sums + others, line);
  }
}

}  // namespace tfodl
