#include "tfodl/kernels/depthwise_conv_2d_sparse.h"

#include "tfodl/kernels/input_sums.h"

namespace tfodl {

void PropagateOne(const Patch& patch, uint32_t neurons, int32_t error,
                  const int8_t* weights, int32_t* sums) {
  for (uint32_t row = patch.block.rows; row > 0; --row) {
    for (uint32_t column = patch.columns; column > 0; --column) {
      *sums += error * *weights;
      weights += neurons;
      sums += patch.channels;
    }
    weights += patch.block.gap;
    sums += patch.block.sums_gap;
  }
}

template <class Error>
void SparseDepthwiseInputGradient(const BackwardArgs& args, Error* error_x) {
  const LayerOptions& o = args.layer.options;
  InputSums<Error> sums(args, LayerKind::kDepthwiseConv2D, error_x);
  const uint32_t multiplier = o.out_c / o.in_c;
  const uint32_t* entry = args.list.entries;
  const uint32_t* const end = entry + args.list.count;
  while (entry != end) {
    const uint32_t position = PlaceOf(*entry) / o.out_c;
    const uint32_t first = position * o.out_c;
    const Patch patch = PatchOf(o, position, o.out_c);
    int32_t* const pixel = sums.At(position, patch);
    do {
      const uint32_t neuron = PlaceOf(*entry) - first;
      PropagateOne(patch, o.out_c, ErrorOf(*entry), args.weights + patch.tap + neuron,
                   pixel + neuron / multiplier);
    } while (++entry != end && PlaceOf(*entry) - first < o.out_c);
  }
  sums.Finish();
}

template void SparseDepthwiseInputGradient(const BackwardArgs& args, float* error_x);
template void SparseDepthwiseInputGradient(const BackwardArgs& args, Bfloat16* error_x);

void SparseDepthwiseWeightGradient(const BackwardArgs& args, uint32_t neuron, uint32_t step,
                                   int32_t* gradient) {
  const LayerOptions& o = args.layer.options;
  const int8_t* const x = args.x + neuron / (o.out_c / o.in_c);
  const int32_t x_zero_point = o.x_zero_point;
  const uint32_t* const end = args.list.EndOf(neuron);
  for (const uint32_t* entry = args.list.BeginOf(neuron); entry != end; ++entry) {
    const int32_t error = ErrorOf(*entry);
    const Patch patch = PatchOf(o, PlaceOf(*entry), step);
    const int8_t* pixel = x + patch.pixel;
    int32_t* sum = gradient + patch.tap;
    for (uint32_t row = patch.block.rows; row > 0; --row) {
      for (uint32_t column = patch.columns; column > 0; --column) {
        *sum += error * (*pixel - x_zero_point);
        pixel += patch.channels;
        sum += step;
      }
      pixel += patch.block.sums_gap;
      sum += patch.block.gap;
    }
  }
}

}  // namespace tfodl
