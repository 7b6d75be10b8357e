#include "tfodl/kernels/fully_connected_backward.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"
#include "tfodl/kernels/add_scaled.h"
#include "tfodl/kernels/error_type.h"
#include "tfodl/kernels/integer_error.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

// sums[i] = sum over o of e[o] w[o, first + i] of `count` inputs.
template <class Error>
void SumInputs(const BackwardArgs& args, const Error* delta, uint32_t first, uint32_t count,
               int32_t* sums) {
  const Layer& layer = args.layer;
  const RowBlock part = {1, count, 0, 0};
  const uint32_t inputs = layer.options.in_c;
  PairedRows rows(0);
  Clear(sums, count);
  const Error* at = delta;
  const Error* const end = delta + layer.options.out_c;
  do {
    uint32_t bits = ErrorBits(*at++);
    TFODL_OPAQUE(bits);  // most are 0, and no float yet
    if (bits << 1 == 0) continue;
    const uint32_t o = static_cast<uint32_t>(at - 1 - delta);
    const int32_t error = IntegerError(FloatFromBits(bits), layer.WeightScale(o), args.unit);
    rows.Add(part, args.weights + first + o * inputs, error, sums);
  } while (at != end);
  rows.Finish(part, sums);
}

void Propagate(const BackwardArgs& args, const float* delta, float* error_x) {
  int32_t* const sums = reinterpret_cast<int32_t*>(error_x);
  SumInputs(args, delta, 0, args.layer.options.in_c, sums);
  ToRealErrors(args.layer, LayerKind::kFullyConnected, args.unit, 1, sums);
}

void Propagate(const BackwardArgs& args, const Bfloat16* delta, Bfloat16* error_x) {
  const uint32_t inputs = args.layer.options.in_c;
  for (uint32_t first = 0; first < inputs; first += kInputsAtOnce) {
    const uint32_t count = inputs - first < kInputsAtOnce ? inputs - first : kInputsAtOnce;
    SumInputs(args, delta, first, count, args.scratch);
    for (uint32_t i = 0; i < count; ++i) {
      StoreError(static_cast<float>(args.scratch[i]) * args.unit.unit, error_x++);
    }
  }
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

template <class Error>
void FullyConnectedBackward(const BackwardArgs& args, const Error* delta, Error* error_x,
                            WeightUpdater* updater) {
  const Layer& layer = args.layer;
  if (layer.Has(kPropagate)) Propagate(args, delta, error_x);
  if (!layer.Has(kUpdateWeights) && !layer.Has(kUpdateBias)) return;
  const uint32_t inputs = layer.options.in_c;
  Rates rates(args, layer.WeightScale(0));
  const uint32_t neurons = layer.options.out_c;
  delta += neurons;
  TFODL_OPAQUE(delta);
  for (int32_t i = -static_cast<int32_t>(neurons); i != 0; ++i) {
    TFODL_OPAQUE(i);
    uint32_t bits = ErrorBits(delta[i]);
    TFODL_OPAQUE(bits);  // most are 0, and no float yet
    if (bits << 1 == 0) continue;
    const uint32_t o = neurons + static_cast<uint32_t>(i);
    if (!layer.MayUpdate(o)) continue;
    const float error = FloatFromBits(bits);
    const uint32_t row = layer.RowOf(o);
    if (layer.options.n_scales > 1) rates = Rates(args, layer.WeightScale(o));
    if (layer.Has(kUpdateWeights)) {
      updater->UpdateOuter(row * inputs, args.x, layer.options.x_zero_point,
                           rates.weights * error, inputs);
    }
    if (layer.Has(kUpdateBias)) updater->UpdateBias(&args.bias[row], rates.bias * error);
  }
}

template void FullyConnectedBackward(const BackwardArgs& args, const float* delta, float* error_x,
                                     WeightUpdater* updater);
template void FullyConnectedBackward(const BackwardArgs& args, const Bfloat16* delta,
                                     Bfloat16* error_x, WeightUpdater* updater);

}  // namespace tfodl
