#include "tfodl/optimize.h"

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
  float weight_scale;
  float weights;  // learning_rate * x_scale / weight_scale
  float bias;     // learning_rate / (x_scale * weight_scale)

  Rates(const BackwardArgs& args, float scale)
      : weight_scale(scale),
        weights(args.learning_rate * args.layer.options.x_scale / scale),
        bias(args.learning_rate / (args.layer.options.x_scale * scale)) {}
};

void Update(const BackwardArgs& args, uint32_t neuron, Rates* rates, StochasticRounder* rounder) {
  const Layer& layer = args.layer;
  const uint32_t inputs = layer.options.in_c;
  if (!layer.MayUpdate(neuron)) return;
  const float delta = args.delta[neuron];
  const float weight_scale = layer.WeightScale(neuron);
  if (weight_scale != rates->weight_scale) *rates = Rates(args, weight_scale);
  if (layer.Has(kUpdateWeights)) {
    rounder->UpdateOuter(args.weights + neuron * inputs, args.x, layer.options.x_zero_point,
                         rates->weights * delta, inputs);
  }
  if (layer.Has(kUpdateBias)) rounder->UpdateBias(&args.bias[neuron], rates->bias * delta);
}

}  // namespace

void FullyConnectedBackward(const BackwardArgs& args, StochasticRounder* rounder) {
  const Layer& layer = args.layer;
  const uint32_t outputs = layer.options.out_c;
  const bool propagates = layer.Has(kPropagate);
  int32_t* const sums = reinterpret_cast<int32_t*>(args.error_x);
  if (propagates) Clear(sums, layer.options.in_c);
  Rates rates(args, layer.WeightScale(0));
  for (uint32_t o = 0; o < outputs; ++o) {
    if (MagnitudeBits(args.delta[o]) == 0) continue;
    const uint32_t first = o++;
    while (o < outputs && MagnitudeBits(args.delta[o]) == 0) ++o;
    if (propagates) Propagate(args, first, o, sums);
    Update(args, first, &rates, rounder);
    if (o < outputs) Update(args, o, &rates, rounder);
  }
  if (propagates) ToRealErrors(sums, layer.options.in_c, args.unit);
}

}  // namespace tfodl
