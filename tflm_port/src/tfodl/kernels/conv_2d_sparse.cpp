#include "tfodl/kernels/conv_2d_sparse.h"

#include "tfodl/dsp.h"
#include "tfodl/kernels/add_scaled.h"
#include "tfodl/kernels/input_sums.h"
#include "tfodl/kernels/patch.h"

namespace tfodl {

// Two errors of a position at a time.
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
    const Patch patch = PatchOf(o, position);
    const uint32_t count = patch.columns * o.in_c;
    const RowBlock block = {patch.rows, count, o.kernel_w * o.in_c - count,
                            o.in_w * o.in_c - count};
    const int8_t* const weights = args.weights + patch.tap * o.in_c;
    int32_t* const pixel =
        sums.From(position / o.out_w) + (patch.pixel - sums.first_pixel()) * o.in_c;
    do {
      const int8_t* const row = weights + (PlaceOf(*entry) - first) * fan_in;
      const int8_t* other = row;
      const int32_t error = ErrorOf(*entry++);
      int32_t other_error = 0;
      if (entry != end && PlaceOf(*entry) < first + o.out_c) {
        other = weights + (PlaceOf(*entry) - first) * fan_in;
        other_error = ErrorOf(*entry++);
      }
      AddScaled(block, row, other, MakePair(error, other_error), 0, pixel);
    } while (entry != end && PlaceOf(*entry) < first + o.out_c);
  }
  sums.Finish();
}

template void SparseConv2DInputGradient(const BackwardArgs& args, float* error_x);
template void SparseConv2DInputGradient(const BackwardArgs& args, Bfloat16* error_x);

// Two positions at a time where they follow each other in the list and both see all of the window
// or the same part of it.
void SparseConv2DWeightGradient(const BackwardArgs& args, uint32_t neuron, int32_t* gradient) {
  const LayerOptions& o = args.layer.options;
  const uint32_t* entry = args.list.by_neuron + args.list.BeginOf(neuron);
  const uint32_t* const end = args.list.by_neuron + args.list.ends[neuron];
  while (entry != end) {
    const uint32_t first = *entry++;
    const Patch patch = PatchOf(o, PlaceOf(first));
    const uint32_t count = patch.columns * o.in_c;
    const RowBlock block = {patch.rows, count, o.in_w * o.in_c - count,
                            o.kernel_w * o.in_c - count};
    const int8_t* const pixel = args.x + patch.pixel * o.in_c;
    const int8_t* other = pixel;
    int32_t other_error = 0;
    if (entry != end) {
      const Patch second = PatchOf(o, PlaceOf(*entry));
      if (second.tap == patch.tap && second.rows == patch.rows &&
          second.columns == patch.columns) {
        other = args.x + second.pixel * o.in_c;
        other_error = ErrorOf(*entry++);
      }
    }
    AddScaled(block, pixel, other, MakePair(ErrorOf(first), other_error), -o.x_zero_point,
              gradient + patch.tap * o.in_c);
  }
}

}  // namespace tfodl
