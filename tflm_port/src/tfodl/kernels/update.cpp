#include "tfodl/optimize.h"

#include "tfodl/kernels/update.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"
#include "tfodl/random.h"

namespace tfodl {
namespace {

constexpr int32_t kWeightLimit = 127;
constexpr int32_t kLargestStep = 127;
constexpr int32_t kSmallestStep = -128;
constexpr int32_t kOne = 1 << 16;  // a step of 1

constexpr int32_t kLargestScaled = 128 * kOne;
constexpr float kLargestOuterFactor = 127.0f;
// Beyond 2^30 floats are multiples of four; 2^33 is beyond the range of biases.
constexpr float kLargeBiasStep = 1073741824.0f;
constexpr float kLargestBiasStep = 8589934080.0f;  // the float below 2^33

constexpr uint32_t kInfinityBits = 0x7f800000u;

// 0 and NaN, by the bits of the magnitude.
TFODL_INLINE bool ChangesNothing(uint32_t magnitude) {
  return magnitude == 0 || magnitude > kInfinityBits;
}

TFODL_INLINE float WithSignOf(float sign, float magnitude) {
  return FloatFromBits((FloatBits(sign) & 0x80000000u) | FloatBits(magnitude));
}

// t, or a bound that gives the largest step.
TFODL_NOINLINE int32_t ScaledGradient(int32_t gradient, const StepScale& scale) {
  const int64_t product = static_cast<int64_t>(gradient) * scale.multiplier;
  const int64_t t = (product + (int64_t{1} << (scale.shift - 1))) >> scale.shift;
  if (t > kLargestScaled) return kLargestScaled;
  return t < -kLargestScaled ? -kLargestScaled : static_cast<int32_t>(t);
}

constexpr uint32_t kSigns = 0x80808080u;  // the top bits of four bytes

// r of weight `lane` of eight.
int32_t RandomFraction(uint32_t draw, uint32_t lane) {
  if (lane >= 4) draw ^= kSigns;
  const uint32_t rotation = 8 * (lane % 4);
  return static_cast<int32_t>((draw >> rotation | draw << (32 - rotation) % 32) & 0xffffu);
}

// Subtracts floor(noisy / 2^16). Returns whether the weight saturated.
TFODL_NOINLINE bool Subtract(int8_t* weight, int32_t noisy) {
  int32_t step = noisy >> 16;
  if (step > kLargestStep) step = kLargestStep;
  if (step < kSmallestStep) step = kSmallestStep;
  const int32_t updated = *weight - step;
  if (updated > kWeightLimit) {
    *weight = kWeightLimit;
    return true;
  }
  if (updated < -kWeightLimit) {
    *weight = -kWeightLimit;
    return true;
  }
  *weight = static_cast<int8_t>(updated);
  return false;
}

#if TFODL_HAS_DSP

// Eight weights at a time. Steps are kept as unsigned bytes, 128 + floor(noisy / 2^16), until four
// are in one word, to keep them free of signs.
constexpr int32_t kBase = 128 * kOne;
constexpr uint32_t kOnes = 0x01010101u;

TFODL_INLINE uint32_t PackSteps(int32_t t0, int32_t t1, int32_t t2, int32_t t3) {
  return (TopHalves(t0, t2) | TopHalves(t1, t3) << 8) ^ kSigns;
}

TFODL_NOINLINE uint32_t CountDifferent(uint32_t bytes, uint32_t others) {
  uint32_t count = 0;
  for (bytes ^= others; bytes != 0; bytes >>= 8) count += (bytes & 0xffu) != 0;
  return count;
}

// Subtracts `steps` per byte; -128 becomes -127.
TFODL_INLINE void SubtractFour(int8_t* weights, uint32_t steps, uint32_t* saturated) {
  const uint32_t before = LoadWord(weights);
  const uint32_t above = SubtractBytesSaturating(SubtractBytesSaturating(before, steps), kOnes);
  const uint32_t after = AddBytesSaturating(above, kOnes);
  const uint32_t taken = SubtractBytes(before, after);
  if (__builtin_expect(taken != steps, 0)) *saturated += CountDifferent(taken, steps);
  StoreWord(weights, after);
}

TFODL_INLINE uint32_t OuterSteps(uint32_t factors, uint32_t offsets, const int8_t* x,
                                 uint32_t draw) {
  const uint32_t word = LoadWord(x);
  const uint32_t even = EvenBytes(offsets, word);
  const uint32_t odd = OddBytes(offsets, word);
  return PackSteps(MultiplyLowLow(factors, even, AddLow16(kBase, draw)),
                   MultiplyLowLow(factors, odd, AddLow16Rotated8(kBase, draw)),
                   MultiplyLowHigh(factors, even, AddLow16Rotated16(kBase, draw)),
                   MultiplyLowHigh(factors, odd, AddLow16Rotated24(kBase, draw)));
}

// Groups of eight. No step is clipped.
TFODL_NOINLINE void OuterWords(int8_t* weights, const int8_t* x, int32_t x_zero_point,
                               int32_t scale, uint32_t groups, RoundingState* state) {
  const int8_t* const end = weights + 8 * groups;
  const uint32_t offsets = MakePair(-x_zero_point, -x_zero_point);
  const uint32_t factors = static_cast<uint32_t>(scale);
  uint32_t rng = state->rng;
  for (; weights != end; weights += 8, x += 8) {
    const uint32_t draw = NextRandom(&rng);
    SubtractFour(weights, OuterSteps(factors, offsets, x, draw), &state->saturated);
    SubtractFour(weights + 4, OuterSteps(factors, offsets, x + 4, draw ^ kSigns),
                 &state->saturated);
  }
  state->rng = rng;
}

// Of four gradients times m / 2^32.
TFODL_INLINE uint32_t ScaledSteps(const FourSums& g, int32_t m0, int32_t m1, int32_t m2,
                                  int32_t m3, uint32_t draw) {
  return PackSteps(Clip24(MultiplyTop(g.s0, m0, AddLow16(kBase, draw))),
                   Clip24(MultiplyTop(g.s1, m1, AddLow16Rotated8(kBase, draw))),
                   Clip24(MultiplyTop(g.s2, m2, AddLow16Rotated16(kBase, draw))),
                   Clip24(MultiplyTop(g.s3, m3, AddLow16Rotated24(kBase, draw))));
}

TFODL_INLINE uint32_t RowSteps(const int32_t* gradient, int32_t m, uint32_t draw) {
  return ScaledSteps(LoadFour(gradient), m, m, m, m, draw);
}

// Groups of eight.
TFODL_NOINLINE void RowWords(int8_t* weights, const int32_t* gradient, int32_t multiplier,
                             uint32_t groups, RoundingState* state) {
  const int8_t* const end = weights + 8 * groups;
  uint32_t rng = state->rng;
  for (; weights != end; weights += 8, gradient += 8) {
    const uint32_t draw = NextRandom(&rng);
    SubtractFour(weights, RowSteps(gradient, multiplier, draw), &state->saturated);
    SubtractFour(weights + 4, RowSteps(gradient + 4, multiplier, draw ^ kSigns),
                 &state->saturated);
  }
  state->rng = rng;
}

#endif  // TFODL_HAS_DSP

// The plain twins, from weight `i`, a multiple of eight, to `count`.
TFODL_NOINLINE void OuterBytes(int8_t* weights, const int8_t* x, int32_t x_zero_point,
                               int32_t scale, uint32_t i, uint32_t count, RoundingState* state) {
  uint32_t draw = 0;
  for (; i < count; ++i) {
    if (i % 8 == 0) draw = NextRandom(&state->rng);
    const int32_t noisy = scale * (x[i] - x_zero_point) + RandomFraction(draw, i % 8);
    state->saturated += Subtract(&weights[i], noisy);
  }
}

TFODL_NOINLINE void RowBytes(int8_t* weights, const int32_t* gradient, const StepScale& scale,
                             uint32_t i, uint32_t count, RoundingState* state) {
  uint32_t draw = 0;
  for (; i < count; ++i) {
    if (i % 8 == 0) draw = NextRandom(&state->rng);
    const int32_t noisy = ScaledGradient(gradient[i], scale) + RandomFraction(draw, i % 8);
    state->saturated += Subtract(&weights[i], noisy);
  }
}

}  // namespace

StepScale MakeStepScale(float factor) {
  float scaled = factor * 65536.0f;
  if (!(scaled > 0.0f)) return StepScale{0, 32};
  int32_t shift = 32;
  while (scaled >= 0.5f && shift > 16) {
    scaled *= 0.5f;
    --shift;
  }
  if (scaled >= 0.5f) return StepScale{INT32_MAX, shift};
  return StepScale{static_cast<int32_t>(scaled * 4294967296.0f), shift};
}

void StochasticRounder::UpdateOuter(int8_t* weights, const int8_t* x, int32_t x_zero_point,
                                    float factor, uint32_t count) {
  const uint32_t magnitude = MagnitudeBits(factor);
  if (ChangesNothing(magnitude)) return;
  if (magnitude > FloatBits(kLargestOuterFactor)) factor = WithSignOf(factor, kLargestOuterFactor);
  const int32_t scale = FloorToInt(factor * 65536.0f + NextUniform(&state_.rng));
  if (scale == 0) return;
  uint32_t done = 0;
#if TFODL_HAS_DSP
  constexpr int32_t kMost = (kLargestStep - 1) * kOne / 255;
  if (scale <= kMost && scale >= -kMost) {
    done = count & ~7u;
    OuterWords(weights, x, x_zero_point, scale, count / 8, &state_);
  }
#endif
  if (done < count) OuterBytes(weights, x, x_zero_point, scale, done, count, &state_);
}

void StochasticRounder::UpdateRow(int8_t* weights, const int32_t* gradient, const StepScale& scale,
                                  uint32_t count) {
  if (scale.multiplier == 0) return;
  uint32_t done = 0;
#if TFODL_HAS_DSP
  if (scale.shift == 32) {
    done = count & ~7u;
    RowWords(weights, gradient, scale.multiplier, count / 8, &state_);
  }
#endif
  if (done < count) RowBytes(weights, gradient, scale, done, count, &state_);
}

void StochasticRounder::UpdateFour(int8_t* weights, const int32_t* gradient,
                                   const StepScale* scales, uint32_t count) {
  const uint32_t draw = NextRandom(&state_.rng);
#if TFODL_HAS_DSP
  if (count == 4 && (scales[0].shift & scales[1].shift & scales[2].shift & scales[3].shift) == 32) {
    const FourSums g = LoadFour(gradient);
    const int32_t m[] = {scales[0].multiplier, scales[1].multiplier, scales[2].multiplier,
                         scales[3].multiplier};
    SubtractFour(weights, ScaledSteps(g, m[0], m[1], m[2], m[3], draw), &state_.saturated);
    return;
  }
#endif
  for (uint32_t lane = 0; lane < count; ++lane) {
    const int32_t noisy =
        ScaledGradient(gradient[lane], scales[lane]) + RandomFraction(draw, lane);
    state_.saturated += Subtract(&weights[lane], noisy);
  }
}

void StochasticRounder::UpdateBias(int32_t* bias, float step) {
  const uint32_t magnitude = MagnitudeBits(step);
  if (ChangesNothing(magnitude)) return;
  const float uniform = NextUniform(&state_.rng);
  int64_t rounded;
  if (magnitude < FloatBits(kLargeBiasStep)) {
    rounded = FloorToInt(step + uniform);
  } else {
    if (magnitude > FloatBits(kLargestBiasStep)) step = WithSignOf(step, kLargestBiasStep);
    rounded = int64_t{4} * static_cast<int32_t>(step * 0.25f);
  }
  const int64_t updated = *bias - rounded;
  if (updated > INT32_MAX) {
    *bias = INT32_MAX;
  } else if (updated < INT32_MIN) {
    *bias = INT32_MIN;
  } else {
    *bias = static_cast<int32_t>(updated);
  }
}

}  // namespace tfodl
