#include "tfodl/kernels/conv_2d_sparse.h"

#include "tfodl/dsp.h"
#include "tfodl/kernels/add_scaled.h"
#include "tfodl/kernels/input_sums.h"
#include "tfodl/kernels/patch.h"

namespace tfodl {
namespace {

// One row of windows that are three elements wide, from x + the offset of an entry on.
TFODL_FAST void SumThree(const uint32_t* entry, const uint32_t* end, const int8_t* x,
                         int32_t start, int32_t* sums) {
  int32_t s0 = start, s1 = start, s2 = start;
  for (; entry != end; ++entry) {
    const int8_t* first = x + PlaceOf(*entry);
    TFODL_OPAQUE(first);
    s0 = AddErrorTimes(*entry, first[0], s0);
    s1 = AddErrorTimes(*entry, first[1], s1);
    s2 = AddErrorTimes(*entry, first[2], s2);
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
}

}  // namespace

RowBlock InputRows(const Patch& patch) {
  return RowBlock{patch.block.rows, patch.block.count, patch.block.sums_gap, patch.block.gap};
}

template <class Error>
void SparseConv2DInputGradient(const BackwardArgs& args, Error* error_x) {
  const LayerOptions& o = args.layer.options;
  InputSums<Error> sums(args, LayerKind::kConv2D, error_x);
  const uint32_t fan_in = FanIn(o, LayerKind::kConv2D);
  const uint32_t* entry = args.list.entries;
  const uint32_t* const end = entry + args.list.count;
  while (entry != end) {
    const uint32_t position = PlaceOf(*entry) / o.out_c;
    const uint32_t first = position * o.out_c;
    const Patch patch = PatchOf(o, position, o.in_c);
    int32_t* const pixel = sums.At(position, patch);
    PairedRows rows(0);
    do {
      rows.Add(patch.block, args.weights + patch.tap + (PlaceOf(*entry) - first) * fan_in,
               ErrorOf(*entry), pixel);
    } while (++entry != end && PlaceOf(*entry) - first < o.out_c);
    rows.Finish(patch.block, pixel);
  }
  sums.Finish();
}

template void SparseConv2DInputGradient(const BackwardArgs& args, float* error_x);
template void SparseConv2DInputGradient(const BackwardArgs& args, Bfloat16* error_x);

// Two whole windows at a time.
void SparseConv2DWeightGradient(const BackwardArgs& args, uint32_t neuron, int32_t sum,
                                int32_t* gradient) {
  const LayerOptions& o = args.layer.options;
  const int32_t offset = -o.x_zero_point;
  const uint32_t row = o.kernel_w * o.in_c;
  const uint32_t line = o.in_w * o.in_c;
  const uint32_t* entry = args.list.BeginOf(neuron);
  const uint32_t* const end = args.list.EndOf(neuron);
  const int8_t* x = args.x;
  if (args.list.has_offsets && row == 3) {
    for (uint32_t y = 0; y < o.kernel_h; ++y) {
      SumThree(entry, end, x, offset * sum, gradient);
      x += line;
      gradient += row;
    }
    return;
  }
  const RowBlock whole = {o.kernel_h, row, line - row, 0};
  PairedRows rows(offset);
  for (; entry != end; ++entry) {
    const int8_t* pixel = x + PlaceOf(*entry);
    if (!args.list.has_offsets) {
      const Patch patch = PatchOf(o, PlaceOf(*entry), o.in_c);
      pixel = x + patch.pixel;
      if (patch.block.rows != whole.rows || patch.block.count != row) {
        AddScaled(InputRows(patch), pixel, pixel, MakePair(ErrorOf(*entry), 0), offset,
                  gradient + patch.tap);
        continue;
      }
    }
    rows.Add(whole, pixel, ErrorOf(*entry), gradient);
  }
  rows.Finish(whole, gradient);
}

}  // namespace tfodl
