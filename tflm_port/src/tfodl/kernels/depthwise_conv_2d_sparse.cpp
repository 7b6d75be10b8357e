#include "tfodl/kernels/depthwise_conv_2d_sparse.h"

#include "tfodl/kernels/input_sums.h"
#include "tfodl/kernels/patch.h"

namespace tfodl {

ChannelPatch ChannelPatchOf(const LayerOptions& o, uint32_t position) {
  const Patch patch = PatchOf(o, position);
  return ChannelPatch{patch.pixel * o.in_c,
                      patch.tap * o.out_c,
                      patch.rows,
                      patch.columns,
                      o.in_c,
                      (o.kernel_w - patch.columns) * o.out_c,
                      (o.in_w - patch.columns) * o.in_c};
}

void PropagateOne(const ChannelPatch& patch, uint32_t neurons, int32_t error,
                  const int8_t* weights, int32_t* sums) {
  for (uint32_t row = patch.rows; row > 0; --row) {
    for (uint32_t column = patch.columns; column > 0; --column) {
      *sums += error * *weights;
      weights += neurons;
      sums += patch.channels;
    }
    weights += patch.weights_gap;
    sums += patch.sums_gap;
  }
}

template <class Error>
void SparseDepthwiseInputGradient(const BackwardArgs& args, Error* error_x) {
  const LayerOptions& o = args.layer.options;
  InputSums<Error> sums(args, LayerKind::kDepthwiseConv2D, error_x);
  int32_t* pixel = nullptr;  // of `patch`
  const uint32_t multiplier = o.out_c / o.in_c;
  ChannelPatch patch = {};
  uint32_t last = UINT32_MAX;  // the position of `patch`
  for (uint32_t i = 0; i < args.list.count; ++i) {
    const uint32_t entry = args.list.entries[i];
    const uint32_t position = PlaceOf(entry) / o.out_c;
    const uint32_t neuron = PlaceOf(entry) - position * o.out_c;
    if (position != last) {
      patch = ChannelPatchOf(o, position);
      pixel = sums.From(position / o.out_w) + (patch.pixel - sums.first_pixel() * o.in_c);
    }
    last = position;
    PropagateOne(patch, o.out_c, ErrorOf(entry), args.weights + patch.tap + neuron,
                 pixel + neuron / multiplier);
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
  const uint32_t channels = o.in_c;
  for (uint32_t i = args.list.BeginOf(neuron); i < args.list.ends[neuron]; ++i) {
    const uint32_t entry = args.list.by_neuron[i];
    const int32_t error = ErrorOf(entry);
    const Patch patch = PatchOf(o, PlaceOf(entry));
    const int8_t* pixel = x + patch.pixel * channels;
    int32_t* sum = gradient + patch.tap * step;
    for (uint32_t row = patch.rows; row > 0; --row) {
      for (uint32_t column = patch.columns; column > 0; --column) {
        *sum += error * (*pixel - x_zero_point);
        pixel += channels;
        sum += step;
      }
      pixel += (o.in_w - patch.columns) * channels;
      sum += (o.kernel_w - patch.columns) * step;
    }
  }
}

}  // namespace tfodl
