#include "tfodl/optimize.h"

#include "tfodl/kernels/depthwise_conv_2d_backward.h"

#include "tfodl/dsp.h"
#include "tfodl/kernels/integer_error.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

constexpr uint32_t kLanes = 4;  // neurons at a time

#if TFODL_HAS_DSP

// MultiplyAdd below, four elements at a time until `errors` is at `end`. The pointers move on.
TFODL_INLINE void MultiplyAddWords(const int16_t** errors, const int8_t** weights,
                                   const int16_t* end, int32_t** sums) {
  uint32_t low, high, even, odd;
  int32_t s0, s1, s2, s3;
  __asm__ volatile(
      "1:\n\t"
      "ldr %[even], [%[weights]], #4\n\t"
      "ldr %[high], [%[errors], #4]\n\t"
      "ldr %[low], [%[errors]], #8\n\t"
      "sxtb16 %[odd], %[even], ror #8\n\t"
      "sxtb16 %[even], %[even]\n\t"
      "ldrd %[s0], %[s1], [%[sums]]\n\t"
      "ldrd %[s2], %[s3], [%[sums], #8]\n\t"
      "smlabb %[s0], %[low], %[even], %[s0]\n\t"
      "smlatb %[s1], %[low], %[odd], %[s1]\n\t"
      "smlabt %[s2], %[high], %[even], %[s2]\n\t"
      "smlatt %[s3], %[high], %[odd], %[s3]\n\t"
      "cmp %[errors], %[end]\n\t"
      "strd %[s0], %[s1], [%[sums]], #8\n\t"
      "strd %[s2], %[s3], [%[sums]], #8\n\t"
      "bne 1b"
      : [errors] "+&r"(*errors), [weights] "+&r"(*weights), [sums] "+&r"(*sums), [low] "=&r"(low),
        [high] "=&r"(high), [even] "=&r"(even), [odd] "=&r"(odd), [s0] "=&r"(s0), [s1] "=&r"(s1),
        [s2] "=&r"(s2), [s3] "=&r"(s3)
      : [end] "r"(end)
      : "cc", "memory");
}

#endif  // TFODL_HAS_DSP

// sums[i] += errors[i] * weights[i]
TFODL_INLINE void MultiplyAdd(const int16_t* errors, const int8_t* weights, uint32_t count,
                              int32_t* sums) {
#if TFODL_HAS_DSP
  if (count >= 4) MultiplyAddWords(&errors, &weights, errors + (count & ~3u), &sums);
  count &= 3;
#endif
  for (; count > 0; --count) *sums++ += *errors++ * *weights++;
}

void InputGradient(const BackwardArgs& args, const int16_t* errors, int32_t* sums) {
  const LayerOptions& o = args.layer.options;
  const uint32_t multiplier = o.out_c / o.in_c;
  Clear(sums, args.layer.InputCount());
  for (uint32_t out_y = 0; out_y < o.out_h; ++out_y) {
    const WindowRange y(out_y, o.stride_h, o.pad_top, o.kernel_h, o.in_h);
    for (uint32_t out_x = 0; out_x < o.out_w; ++out_x, errors += o.out_c) {
      const WindowRange x(out_x, o.stride_w, o.pad_left, o.kernel_w, o.in_w);
      for (int32_t ky = y.begin; ky < y.end; ++ky) {
        const uint32_t line = static_cast<uint32_t>(y.origin + ky) * o.in_w;
        for (int32_t kx = x.begin; kx < x.end; ++kx) {
          int32_t* const pixel = sums + (line + static_cast<uint32_t>(x.origin + kx)) * o.in_c;
          const uint32_t tap = static_cast<uint32_t>(ky) * o.kernel_w + static_cast<uint32_t>(kx);
          const int8_t* const weights = args.weights + tap * o.out_c;
          if (multiplier == 1) {
            MultiplyAdd(errors, weights, o.out_c, pixel);
            continue;
          }
          for (uint32_t c = 0, neuron = 0; c < o.in_c; ++c) {
            for (uint32_t i = 0; i < multiplier; ++i, ++neuron) {
              pixel[c] += errors[neuron] * weights[neuron];
            }
          }
        }
      }
    }
  }
}

// Up to four neurons that follow each other.
struct Block {
  uint32_t first, lanes;
  int32_t sums[kLanes];      // of e
  float rates[kLanes];       // lr E / s^2
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
TFODL_NOINLINE FourSums FourChannels(const BackwardArgs& args, const int16_t* errors,
                                     const Tap& tap, uint32_t first) {
  const LayerOptions& o = args.layer.options;
  const uint32_t offsets = MakePair(-o.x_zero_point, -o.x_zero_point);
  const uint32_t step = o.stride_w * o.in_c;
  const uint32_t neurons = o.out_c;
  FourSums v = {0, 0, 0, 0};
  uint32_t in_y = tap.y.first;
  for (uint32_t out_y = tap.y.begin; out_y < tap.y.end; ++out_y, in_y += o.stride_h) {
    const int16_t* error = errors + (out_y * o.out_w + tap.x.begin) * neurons + first;
    const int8_t* pixel = args.x + (in_y * o.in_w + tap.x.first) * o.in_c + first;
    for (uint32_t left = tap.x.end - tap.x.begin; left > 0; --left) {
      const uint32_t low = LoadWord(error);
      const uint32_t high = LoadWord(error + 2);
      if ((low | high) != 0) AddFourTimesBytes(low, high, offsets, LoadWord(pixel), &v);
      error += neurons;
      pixel += step;
    }
  }
  return v;
}

#endif  // TFODL_HAS_DSP

int32_t OneNeuron(const BackwardArgs& args, const int16_t* errors, const Tap& tap,
                  uint32_t neuron) {
  const LayerOptions& o = args.layer.options;
  const uint32_t channel = neuron / (o.out_c / o.in_c);
  const uint32_t step = o.stride_w * o.in_c;
  int32_t sum = 0;
  uint32_t in_y = tap.y.first;
  for (uint32_t out_y = tap.y.begin; out_y < tap.y.end; ++out_y, in_y += o.stride_h) {
    const int16_t* error = errors + (out_y * o.out_w + tap.x.begin) * o.out_c + neuron;
    const int8_t* pixel = args.x + (in_y * o.in_w + tap.x.first) * o.in_c + channel;
    for (uint32_t left = tap.x.end - tap.x.begin; left > 0; --left) {
      sum += *error * (*pixel - o.x_zero_point);
      error += o.out_c;
      pixel += step;
    }
  }
  return sum;
}

// Returns whether a neuron of the block has to be updated.
bool Prepare(const BackwardArgs& args, const int16_t* errors, Block* block) {
  const Layer& layer = args.layer;
  const LayerOptions& o = layer.options;
  bool touched = false;
  for (uint32_t lane = 0; lane < block->lanes; ++lane) {
    const uint32_t neuron = block->first + lane;
    block->rates[lane] = 0.0f;
    block->scales[lane] = StepScale{0, 32};
    if (!layer.MayUpdate(neuron)) continue;
    const int16_t* error = errors + neuron;
    int32_t sum = 0;
    uint32_t any = 0;
    for (uint32_t p = o.out_h * o.out_w; p > 0; --p, error += o.out_c) {
      sum += *error;
      any |= static_cast<uint32_t>(*error);
    }
    if (any == 0) continue;
    touched = true;
    const float weight_scale = layer.WeightScale(neuron);
    block->sums[lane] = sum;
    block->rates[lane] = args.learning_rate * args.unit.unit / weight_scale / weight_scale;
    block->scales[lane] = MakeStepScale(block->rates[lane] * o.x_scale);
  }
  return touched;
}

void UpdateWeights(const BackwardArgs& args, const int16_t* errors, const Block& block,
                   StochasticRounder* rounder) {
  const LayerOptions& o = args.layer.options;
  int8_t* weights = args.weights + block.first;
  for (uint32_t ky = 0; ky < o.kernel_h; ++ky) {
    for (uint32_t kx = 0; kx < o.kernel_w; ++kx, weights += o.out_c) {
      const Tap tap(o, ky, kx);
      int32_t gradient[kLanes];
#if TFODL_HAS_DSP
      if (block.lanes == kLanes && o.out_c == o.in_c) {
        const FourSums v = FourChannels(args, errors, tap, block.first);
        gradient[0] = v.s0;
        gradient[1] = v.s1;
        gradient[2] = v.s2;
        gradient[3] = v.s3;
        rounder->UpdateFour(weights, gradient, block.scales, kLanes);
        continue;
      }
#endif
      for (uint32_t lane = 0; lane < block.lanes; ++lane) {
        gradient[lane] = OneNeuron(args, errors, tap, block.first + lane);
      }
      rounder->UpdateFour(weights, gradient, block.scales, block.lanes);
    }
  }
}

void Update(const BackwardArgs& args, const int16_t* errors, StochasticRounder* rounder) {
  const Layer& layer = args.layer;
  const LayerOptions& o = layer.options;
  Block block;
  for (block.first = 0; block.first < o.out_c; block.first += kLanes) {
    const uint32_t left = o.out_c - block.first;
    block.lanes = left < kLanes ? left : kLanes;
    if (!Prepare(args, errors, &block)) continue;
    if (layer.Has(kUpdateWeights)) UpdateWeights(args, errors, block, rounder);
    if (!layer.Has(kUpdateBias)) continue;
    for (uint32_t lane = 0; lane < block.lanes; ++lane) {
      if (block.rates[lane] == 0.0f) continue;
      rounder->UpdateBias(&args.bias[block.first + lane],
                          block.rates[lane] / o.x_scale * static_cast<float>(block.sums[lane]));
    }
  }
}

}  // namespace

void DepthwiseConv2DBackward(const BackwardArgs& args, StochasticRounder* rounder) {
  const Layer& layer = args.layer;
  const int16_t* const errors = ToIntegerErrors(layer, args.unit, args.delta);
  if (layer.Has(kPropagate)) {
    int32_t* const sums = reinterpret_cast<int32_t*>(args.error_x);
    InputGradient(args, errors, sums);
    ToRealErrors(sums, layer.InputCount(), args.unit);
  }
  if (layer.Has(kUpdateWeights) || layer.Has(kUpdateBias)) Update(args, errors, rounder);
}

}  // namespace tfodl
