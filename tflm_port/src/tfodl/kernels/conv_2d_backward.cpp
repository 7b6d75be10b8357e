#include "tfodl/optimize.h"

#include "tfodl/kernels/conv_2d_backward.h"

#include "tfodl/dsp.h"
#include "tfodl/kernels/add_scaled.h"
#include "tfodl/kernels/integer_error.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

// The part of a window that lies inside the input.
struct Patch {
  uint32_t pixel;  // its first element in the input
  uint32_t tap;    // its first element in a row of weights
  uint32_t count;  // the elements of one of its rows

  TFODL_INLINE Patch(const LayerOptions& o, const WindowRange& y, uint32_t out_x) {
    const WindowRange x(out_x, o.stride_w, o.pad_left, o.kernel_w, o.in_w);
    pixel = (static_cast<uint32_t>(y.origin + y.begin) * o.in_w +
             static_cast<uint32_t>(x.origin + x.begin)) * o.in_c;
    tap = (static_cast<uint32_t>(y.begin) * o.kernel_w + static_cast<uint32_t>(x.begin)) * o.in_c;
    count = static_cast<uint32_t>(x.end - x.begin) * o.in_c;
  }
};

TFODL_INLINE WindowRange RowsOf(const LayerOptions& o, uint32_t out_y) {
  return WindowRange(out_y, o.stride_h, o.pad_top, o.kernel_h, o.in_h);
}

void InputGradient(const BackwardArgs& args, const int16_t* errors, int32_t* sums) {
  const LayerOptions& o = args.layer.options;
  const uint32_t fan_in = FanIn(o, LayerKind::kConv2D);
  Clear(sums, args.layer.InputCount());
  for (uint32_t out_y = 0; out_y < o.out_h; ++out_y) {
    const WindowRange y = RowsOf(o, out_y);
    for (uint32_t out_x = 0; out_x < o.out_w; ++out_x) {
      const Patch patch(o, y, out_x);
      const RowBlock block = {static_cast<uint32_t>(y.end - y.begin), patch.count,
                              o.kernel_w * o.in_c - patch.count, o.in_w * o.in_c - patch.count};
      const int8_t* waiting = nullptr;
      int32_t waiting_error = 0;
      const int8_t* row = args.weights + patch.tap;
      for (const int16_t* const end = errors + o.out_c; errors != end; row += fan_in) {
        const int32_t error = *errors++;
        if (error == 0) continue;
        if (waiting == nullptr) {
          waiting = row;
          waiting_error = error;
          continue;
        }
        AddScaled(block, waiting, row, MakePair(waiting_error, error), 0, sums + patch.pixel);
        waiting = nullptr;
      }
      if (waiting != nullptr) {
        AddScaled(block, waiting, waiting, MakePair(waiting_error, 0), 0, sums + patch.pixel);
      }
    }
  }
}

// The errors of a neuron over all positions.
struct NeuronErrors {
  int32_t sum;
  bool any;  // not zero
};

// Sums of whole rows of a window. A position waits for the next one: two at a time cost less.
class FullRows {
 public:
  explicit FullRows(int32_t offset) : offset_(offset) {}

  TFODL_INLINE void Add(const RowBlock& block, const int8_t* pixel, int32_t error, int32_t* sums) {
    if (waiting_ == nullptr) {
      waiting_ = pixel;
      waiting_error_ = error;
      return;
    }
    AddScaled(block, waiting_, pixel, MakePair(waiting_error_, error), offset_, sums);
    waiting_ = nullptr;
  }
  void Finish(const RowBlock& block, int32_t* sums) {
    if (waiting_ == nullptr) return;
    AddScaled(block, waiting_, waiting_, MakePair(waiting_error_, 0), offset_, sums);
    waiting_ = nullptr;
  }

 private:
  int32_t offset_;
  const int8_t* waiting_ = nullptr;
  int32_t waiting_error_ = 0;
};

// errors: those of the neuron, out_c apart. gradient: null when only the errors matter.
NeuronErrors WeightGradient(const BackwardArgs& args, const int16_t* errors, int32_t* gradient) {
  const LayerOptions& o = args.layer.options;
  const uint32_t row = o.kernel_w * o.in_c;
  const uint32_t line = o.in_w * o.in_c;
  const uint32_t step = o.stride_w * o.in_c;
  // Windows from output column `left` on, `inside` of them, have all their columns in the input.
  const uint32_t left = TapRange(0, o.stride_w, o.pad_left, o.in_w, o.out_w).begin;
  const uint32_t right =
      TapRange(o.kernel_w - 1, o.stride_w, o.pad_left, o.in_w, o.out_w).end;
  const uint32_t inside = right > left ? right - left : 0;
  NeuronErrors found = {0, false};
  FullRows full(-o.x_zero_point);
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
    const uint32_t pixels =
        static_cast<uint32_t>(y.origin + y.begin) * line - o.pad_left * o.in_c;
    for (uint32_t out_x = 0; out_x < o.out_w; ++out_x) {
      const int32_t error = *errors;
      errors += o.out_c;
      if (error == 0) continue;
      found.sum += error;
      found.any = true;
      if (gradient == nullptr) continue;
      if (out_x - left < inside) {
        full.Add(block, args.x + (pixels + out_x * step), error, sums);
        continue;
      }
      const Patch patch(o, y, out_x);
      const RowBlock part = {rows, patch.count, line - patch.count, row - patch.count};
      const int8_t* const pixel = args.x + patch.pixel;
      AddScaled(part, pixel, pixel, MakePair(error, 0), -o.x_zero_point, gradient + patch.tap);
    }
  }
  full.Finish(block, sums);
  return found;
}

void Update(const BackwardArgs& args, const int16_t* errors, WeightUpdater* updater) {
  const Layer& layer = args.layer;
  const LayerOptions& o = layer.options;
  const uint32_t fan_in = FanIn(o, LayerKind::kConv2D);
  int32_t* const gradient = layer.Has(kUpdateWeights) ? args.scratch : nullptr;
  for (uint32_t neuron = 0; neuron < o.out_c; ++neuron) {
    if (!layer.MayUpdate(neuron)) continue;
    if (gradient != nullptr) Clear(gradient, fan_in);
    const NeuronErrors found = WeightGradient(args, errors + neuron, gradient);
    if (!found.any) continue;
    const float weight_scale = layer.WeightScale(neuron);
    const float rate = args.learning_rate * args.unit.unit / weight_scale / weight_scale;
    if (gradient != nullptr) {
      updater->UpdateRow(args.weights + neuron * fan_in, gradient,
                         MakeStepScale(rate * o.x_scale), fan_in);
    }
    if (layer.Has(kUpdateBias)) {
      updater->UpdateBias(&args.bias[neuron], rate / o.x_scale * static_cast<float>(found.sum));
    }
  }
}

}  // namespace

void Conv2DBackward(const BackwardArgs& args, WeightUpdater* updater) {
  const Layer& layer = args.layer;
  const int16_t* const errors = ToIntegerErrors(layer, LayerKind::kConv2D, args.unit, args.delta);
  if (layer.Has(kPropagate)) {
    int32_t* const sums = reinterpret_cast<int32_t*>(args.error_x);
    InputGradient(args, errors, sums);
    ToRealErrors(layer, LayerKind::kConv2D, args.unit, sums);
  }
  if (layer.Has(kUpdateWeights) || layer.Has(kUpdateBias)) Update(args, errors, updater);
}

}  // namespace tfodl
