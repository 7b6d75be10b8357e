#include "tfodl/kernels/fully_connected_backward.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"
#include "tfodl/kernels/add_scaled.h"
#include "tfodl/kernels/integer_error.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

// error_x += what neurons `first` and `second` hand down. second = out_c stands for none.
void Propagate(const BackwardArgs& args, uint32_t first, uint32_t second, int32_t* sums) {
  const Layer& layer = args.layer;
  const uint32_t inputs = layer.options.in_c;
  const int32_t factor_1 = IntegerError(args.delta[first], layer.WeightScale(first), args.unit);
  int32_t factor_2 = 0;
  if (second < layer.options.out_c) {
    factor_2 = IntegerError(args.delta[second], layer.WeightScale(second), args.unit);
  } else {
    second = first;
  }
  const RowBlock row = {1, inputs, 0, 0};
  AddScaled(row, args.weights + first * inputs, args.weights + second * inputs,
            MakePair(factor_1, factor_2), 0, sums);
}

// Factors that the neurons with the same weight scale share.
struct Rates {
  float weights;  // learning_rate * x_scale / weight scale
  float bias;     // learning_rate / (x_scale * weight scale)

  Rates(const BackwardArgs& args, float scale)
      : weights(args.learning_rate * args.layer.options.x_scale / scale),
        bias(args.learning_rate / (args.layer.options.x_scale * scale)) {}
};

}  // namespace

void FullyConnectedBackward(const BackwardArgs& args, WeightUpdater* updater) {
  const Layer& layer = args.layer;
  const uint32_t inputs = layer.options.in_c;
  const uint32_t outputs = layer.options.out_c;
  int32_t* const sums = reinterpret_cast<int32_t*>(args.error_x);
  if (layer.Has(kPropagate)) Clear(sums, inputs);
  uint32_t to_propagate = layer.Has(kPropagate) ? 0 : outputs;  // neurons from here on
  Rates rates(args, layer.WeightScale(0));
  for (uint32_t o = 0; o < outputs; ++o) {
    const float delta = args.delta[o];
    if (MagnitudeBits(delta) == 0) continue;
    if (o >= to_propagate) {
      uint32_t second = o + 1;
      while (second < outputs && MagnitudeBits(args.delta[second]) == 0) ++second;
      Propagate(args, o, second, sums);
      to_propagate = second + 1;
    }
    if (!layer.MayUpdate(o)) continue;
    const uint32_t row = layer.RowOf(o);
    if (layer.options.n_scales > 1) rates = Rates(args, layer.WeightScale(o));
    if (layer.Has(kUpdateWeights)) {
      updater->UpdateOuter(row * inputs, args.x, layer.options.x_zero_point,
                           rates.weights * delta, inputs);
    }
    if (layer.Has(kUpdateBias)) updater->UpdateBias(&args.bias[row], rates.bias * delta);
  }
  if (layer.Has(kPropagate)) ToRealErrors(layer, LayerKind::kFullyConnected, args.unit, sums);
}

}  // namespace tfodl
