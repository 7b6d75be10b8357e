#include "tfodl/kernels/conv_2d_backward.h"

#include "tfodl/dsp.h"
#include "tfodl/kernels/add_scaled.h"
#include "tfodl/kernels/conv_2d_sparse.h"
#include "tfodl/kernels/input_sums.h"
#include "tfodl/kernels/patch.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

TFODL_INLINE WindowRange RowsOf(const LayerOptions& o, uint32_t out_y) {
  return WindowRange(out_y, o.stride_h, o.pad_top, o.kernel_h, o.in_h);
}

template <class Error>
void InputGradient(const BackwardArgs& args, Error* error_x) {
  const LayerOptions& o = args.layer.options;
  const uint32_t fan_in = FanIn(o, LayerKind::kConv2D);
  const uint32_t positions = o.out_h * o.out_w;
  const int16_t* errors = args.errors;
  InputSums<Error> sums(args, LayerKind::kConv2D, error_x);
  for (uint32_t position = 0; position < positions; ++position) {
    const Patch patch = PatchOf(o, position, o.in_c);
    int32_t* const pixel = sums.At(position, patch);
    const int8_t* row = args.weights + patch.tap;
    PairedRows rows(0);
    for (const int16_t* const end = errors + o.out_c; errors != end; row += fan_in) {
      const int32_t error = *errors++;
      if (error != 0) rows.Add(patch.block, row, error, pixel);
    }
    rows.Finish(patch.block, pixel);
  }
  sums.Finish();
}

// errors: those of the neuron, out_c apart. gradient: null when only the errors matter.
TFODL_FAST NeuronErrors WeightGradient(const BackwardArgs& args, const int16_t* errors,
                                       int32_t* gradient) {
  const LayerOptions& o = args.layer.options;
  const uint32_t row = o.kernel_w * o.in_c;
  const uint32_t line = o.in_w * o.in_c;
  // Where a window may start that has all its columns in the input.
  const uint32_t inside = o.in_w < o.kernel_w ? 0 : o.in_w - o.kernel_w + 1;
  int32_t sum = 0;
  bool any = false;
  PairedRows full(-o.x_zero_point);  // windows that see all their columns
  RowBlock block = {0, row, line - row, 0};
  int32_t* sums = gradient;
  for (uint32_t out_y = 0; out_y < o.out_h; ++out_y) {
    const WindowRange y = RowsOf(o, out_y);
    const uint32_t rows = static_cast<uint32_t>(y.end - y.begin);
    if (rows != o.kernel_h || rows != block.rows) {
      full.Finish(block, sums);
      block.rows = rows;
      if (gradient != nullptr) sums = gradient + static_cast<uint32_t>(y.begin) * row;
    }
    const int8_t* const pixels = args.x + static_cast<uint32_t>(y.origin + y.begin) * line;
    uint32_t x = -o.pad_left;  // where the window starts
    for (uint32_t left = o.out_w; left > 0; --left, x += o.stride_w) {
      const int32_t error = *errors;
      errors += o.out_c;
      if (error == 0) continue;
      sum += error;
      any = true;
      if (gradient == nullptr) continue;
      if (x < inside) {
        full.Add(block, pixels + x * o.in_c, error, sums);
        continue;
      }
      const Patch patch = PatchOf(o, (out_y + 1) * o.out_w - left, o.in_c);
      const int8_t* const pixel = args.x + patch.pixel;
      AddScaled(InputRows(patch), pixel, pixel, MakePair(error, 0), -o.x_zero_point,
                gradient + patch.tap);
    }
  }
  full.Finish(block, sums);
  return NeuronErrors{sum, any};
}

void Update(const BackwardArgs& args, WeightUpdater* updater) {
  const Layer& layer = args.layer;
  const LayerOptions& o = layer.options;
  const uint32_t fan_in = FanIn(o, LayerKind::kConv2D);
  int32_t* const gradient = layer.Has(kUpdateWeights) ? args.scratch : nullptr;
  for (uint32_t neuron = 0; neuron < o.out_c; ++neuron) {
    if (!layer.MayUpdate(neuron)) continue;
    NeuronErrors found = {0, true};
    if (args.errors == nullptr) found = args.list.ErrorsOf(neuron);
    if (!found.any) continue;
    if (gradient != nullptr) Clear(gradient, fan_in);
    if (args.errors != nullptr) {
      found = WeightGradient(args, args.errors + neuron, gradient);
    } else if (gradient != nullptr) {
      SparseConv2DWeightGradient(args, neuron, found.sum, gradient);
    }
    if (!found.any) continue;
    const uint32_t row = layer.RowOf(neuron);
    const float weight_scale = layer.WeightScale(neuron);
    const float rate = args.learning_rate * args.unit.unit / weight_scale / weight_scale;
    if (gradient != nullptr) {
      updater->UpdateRow(row * fan_in, gradient, MakeStepScale(rate * o.x_scale), fan_in);
    }
    if (layer.Has(kUpdateBias)) {
      updater->UpdateBias(&args.bias[row], rate / o.x_scale * static_cast<float>(found.sum));
    }
  }
}

}  // namespace

template <class Error>
void Conv2DBackward(const BackwardArgs& args, Error* error_x, WeightUpdater* updater) {
  const Layer& layer = args.layer;
  if (layer.Has(kPropagate)) {
    if (args.errors == nullptr) {
      SparseConv2DInputGradient(args, error_x);
    } else {
      InputGradient(args, error_x);
    }
  }
  if (layer.Has(kUpdateWeights) || layer.Has(kUpdateBias)) Update(args, updater);
}

template void Conv2DBackward(const BackwardArgs& args, float* error_x, WeightUpdater* updater);
template void Conv2DBackward(const BackwardArgs& args, Bfloat16* error_x, WeightUpdater* updater);

}  // namespace tfodl
