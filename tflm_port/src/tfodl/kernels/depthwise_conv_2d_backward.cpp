#include "tfodl/kernels/depthwise_conv_2d_backward.h"

#include "tfodl/dsp.h"
#include "tfodl/kernels/depthwise_conv_2d_sparse.h"
#include "tfodl/kernels/input_sums.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

constexpr LayerKind kKind = LayerKind::kDepthwiseConv2D;
constexpr uint32_t kLanes = 4;  // neurons at a time

#if TFODL_HAS_DSP

// Adds four errors, `low` and `high`, times the weights of four channels at each of `columns` taps.
TFODL_INLINE void PropagateRow(uint32_t low, uint32_t high, uint32_t columns, uint32_t channels,
                               const int8_t** weights, int32_t** sums) {
  uint32_t even, odd;
  int32_t s0, s1, s2, s3;
  __asm__ volatile(
      "1:\n\t"
      "ldr %[even], [%[weights]]\n\t"
      "ldrd %[s0], %[s1], [%[sums]]\n\t"
      "sxtb16 %[odd], %[even], ror #8\n\t"
      "sxtb16 %[even], %[even]\n\t"
      "ldrd %[s2], %[s3], [%[sums], #8]\n\t"
      "smlabb %[s0], %[low], %[even], %[s0]\n\t"
      "smlatb %[s1], %[low], %[odd], %[s1]\n\t"
      "smlabt %[s2], %[high], %[even], %[s2]\n\t"
      "smlatt %[s3], %[high], %[odd], %[s3]\n\t"
      "add %[weights], %[channels]\n\t"
      "strd %[s0], %[s1], [%[sums]]\n\t"
      "strd %[s2], %[s3], [%[sums], #8]\n\t"
      "add %[sums], %[sums], %[channels], lsl #2\n\t"
      "subs %[columns], #1\n\t"
      "bne 1b"
      : [weights] "+&r"(*weights), [sums] "+&r"(*sums), [columns] "+&r"(columns),
        [even] "=&r"(even), [odd] "=&r"(odd), [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2),
        [s3] "=&r"(s3)
      : [low] "r"(low), [high] "r"(high), [channels] "r"(channels)
      : "cc", "memory");
}

TFODL_FAST void PropagateFour(const Patch& patch, uint32_t low, uint32_t high,
                              const int8_t* weights, int32_t* sums) {
  for (uint32_t row = patch.block.rows; row > 0; --row) {
    PropagateRow(low, high, patch.columns, patch.channels, &weights, &sums);
    weights += patch.block.gap;
    sums += patch.block.sums_gap;
  }
}

#endif  // TFODL_HAS_DSP

template <class Error>
void InputGradient(const BackwardArgs& args, Error* error_x) {
  const LayerOptions& o = args.layer.options;
  const uint32_t multiplier = o.out_c / o.in_c;
  const uint32_t positions = o.out_h * o.out_w;
  const int16_t* errors = args.errors;
  InputSums<Error> sums(args, kKind, error_x);
  for (uint32_t position = 0; position < positions; ++position, errors += o.out_c) {
    const Patch patch = PatchOf(o, position, o.out_c);
    const int8_t* const weights = args.weights + patch.tap;
    int32_t* const pixel = sums.At(position, patch);
    uint32_t neuron = 0;
#if TFODL_HAS_DSP
    if (multiplier == 1) {
      for (; neuron + kLanes <= o.out_c; neuron += kLanes) {
        const uint32_t low = LoadWord(errors + neuron);
        const uint32_t high = LoadWord(errors + neuron + 2);
        if ((low | high) == 0) continue;
        PropagateFour(patch, low, high, weights + neuron, pixel + neuron);
      }
    }
#endif
    uint32_t channel = neuron / multiplier;
    uint32_t left = multiplier;  // neurons of this channel
    for (; neuron < o.out_c; ++neuron) {
      const int32_t error = errors[neuron];
      if (error != 0) PropagateOne(patch, o.out_c, error, weights + neuron, pixel + channel);
      if (--left == 0) {
        left = multiplier;
        ++channel;
      }
    }
  }
  sums.Finish();
}

// Up to four neurons that follow each other.
struct Block {
  uint32_t first, lanes;
  int32_t sums[kLanes];      // of e
  float rates[kLanes];       // lr E / (s q)
  StepScale scales[kLanes];  // 0 for neurons without an error and those that may not update
};

// g of one tap.
struct Tap {
  TapRange y, x;

  Tap(const LayerOptions& o, uint32_t ky, uint32_t kx)
      : y(ky, o.stride_h, o.pad_top, o.in_h, o.out_h),
        x(kx, o.stride_w, o.pad_left, o.in_w, o.out_w) {}
};

#if TFODL_HAS_DSP

// Of four neurons and the four channels of the same numbers, from `first` on.
TFODL_FAST void FourChannels(const BackwardArgs& args, const Tap& tap, uint32_t first,
                             int32_t* gradient) {
  const LayerOptions& o = args.layer.options;
  const uint32_t offsets = MakePair(-o.x_zero_point, -o.x_zero_point);
  const uint32_t step = o.stride_w * o.in_c;
  const uint32_t neurons = o.out_c;
  FourSums v = {0, 0, 0, 0};
  uint32_t in_y = tap.y.first;
  for (uint32_t out_y = tap.y.begin; out_y < tap.y.end; ++out_y, in_y += o.stride_h) {
    const int16_t* error = args.errors + (out_y * o.out_w + tap.x.begin) * neurons + first;
    const int8_t* pixel = args.x + (in_y * o.in_w + tap.x.first) * o.in_c + first;
    for (uint32_t left = tap.x.end - tap.x.begin; left > 0; --left) {
      const uint32_t low = LoadWord(error);
      const uint32_t high = LoadWord(error + 2);
      if ((low | high) != 0) AddFourTimesBytes(low, high, offsets, LoadWord(pixel), &v);
      error += neurons;
      pixel += step;
    }
  }
  StoreFour(v, &gradient);
}

#endif  // TFODL_HAS_DSP

int32_t OneNeuron(const BackwardArgs& args, const Tap& tap, uint32_t neuron) {
  const LayerOptions& o = args.layer.options;
  const uint32_t channel = neuron / (o.out_c / o.in_c);
  const uint32_t step = o.stride_w * o.in_c;
  int32_t sum = 0;
  uint32_t in_y = tap.y.first;
  for (uint32_t out_y = tap.y.begin; out_y < tap.y.end; ++out_y, in_y += o.stride_h) {
    const int16_t* error = args.errors + (out_y * o.out_w + tap.x.begin) * o.out_c + neuron;
    const int8_t* pixel = args.x + (in_y * o.in_w + tap.x.first) * o.in_c + channel;
    for (uint32_t left = tap.x.end - tap.x.begin; left > 0; --left) {
      sum += *error * (*pixel - o.x_zero_point);
      error += o.out_c;
      pixel += step;
    }
  }
  return sum;
}

// Of `positions` errors, `step` apart.
TFODL_FAST NeuronErrors ErrorsOf(const int16_t* error, uint32_t positions, uint32_t step) {
  int32_t sum = 0;
  int32_t any = 0;
  for (; positions > 0; --positions, error += step) {
    sum += *error;
    any |= *error;
  }
  return NeuronErrors{sum, any != 0};
}

// Returns whether a neuron of the block has to be updated.
bool Prepare(const BackwardArgs& args, Block* block) {
  const Layer& layer = args.layer;
  const LayerOptions& o = layer.options;
  bool touched = false;
  for (uint32_t lane = 0; lane < block->lanes; ++lane) {
    const uint32_t neuron = block->first + lane;
    block->rates[lane] = 0.0f;
    block->scales[lane] = StepScale{0, 32};
    if (!layer.MayUpdate(neuron)) continue;
    const NeuronErrors found =
        args.errors == nullptr ? args.list.ErrorsOf(neuron)
                               : ErrorsOf(args.errors + neuron, o.out_h * o.out_w, o.out_c);
    if (!found.any) continue;
    touched = true;
    const float weight_scale = layer.WeightScale(neuron);
    block->sums[lane] = found.sum;
    block->rates[lane] = args.learning_rate * args.unit.unit / weight_scale;
    if (!HasOwnChannels(o, kKind)) block->rates[lane] /= weight_scale;
    block->scales[lane] = MakeStepScale(block->rates[lane] * o.x_scale);
  }
  return touched;
}

void UpdateWeights(const BackwardArgs& args, const Block& block, WeightUpdater* updater) {
  const LayerOptions& o = args.layer.options;
  uint32_t first = block.first;
  if (args.errors == nullptr) {
    const uint32_t taps = o.kernel_h * o.kernel_w;
    int32_t* const gradient = args.list.room;
    Clear(gradient, kLanes * taps);
    for (uint32_t lane = 0; lane < block.lanes; ++lane) {
      SparseDepthwiseWeightGradient(args, block.first + lane, kLanes, gradient + lane);
    }
    for (uint32_t tap = 0; tap < taps; ++tap, first += o.out_c) {
      updater->UpdateFour(first, gradient + kLanes * tap, block.scales, block.lanes);
    }
    return;
  }
  for (uint32_t ky = 0; ky < o.kernel_h; ++ky) {
    for (uint32_t kx = 0; kx < o.kernel_w; ++kx, first += o.out_c) {
      const Tap tap(o, ky, kx);
      int32_t gradient[kLanes];
#if TFODL_HAS_DSP
      if (block.lanes == kLanes && o.out_c == o.in_c) {
        FourChannels(args, tap, block.first, gradient);
      } else
#endif
      {
        for (uint32_t lane = 0; lane < block.lanes; ++lane) {
          gradient[lane] = OneNeuron(args, tap, block.first + lane);
        }
      }
      updater->UpdateFour(first, gradient, block.scales, block.lanes);
    }
  }
}

void Update(const BackwardArgs& args, WeightUpdater* updater) {
  const Layer& layer = args.layer;
  const LayerOptions& o = layer.options;
  Block block;
  for (block.first = 0; block.first < o.out_c; block.first += kLanes) {
    const uint32_t left = o.out_c - block.first;
    block.lanes = left < kLanes ? left : kLanes;
    if (!Prepare(args, &block)) continue;
    if (layer.Has(kUpdateWeights)) UpdateWeights(args, block, updater);
    if (!layer.Has(kUpdateBias)) continue;
    for (uint32_t lane = 0; lane < block.lanes; ++lane) {
      if (block.rates[lane] == 0.0f) continue;
      updater->UpdateBias(&args.bias[block.first + lane],
                          block.rates[lane] / o.x_scale * static_cast<float>(block.sums[lane]));
    }
  }
}

}  // namespace

template <class Error>
void DepthwiseConv2DBackward(const BackwardArgs& args, Error* error_x, WeightUpdater* updater) {
  const Layer& layer = args.layer;
  if (layer.Has(kPropagate)) {
    if (args.errors == nullptr) {
      SparseDepthwiseInputGradient(args, error_x);
    } else {
      InputGradient(args, error_x);
    }
  }
  if (layer.Has(kUpdateWeights) || layer.Has(kUpdateBias)) Update(args, updater);
}

template void DepthwiseConv2DBackward(const BackwardArgs& args, float* error_x,
                                      WeightUpdater* updater);
template void DepthwiseConv2DBackward(const BackwardArgs& args, Bfloat16* error_x,
                                      WeightUpdater* updater);

}  // namespace tfodl
