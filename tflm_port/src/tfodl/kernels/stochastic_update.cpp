#include "tfodl/optimize.h"

#include "tfodl/kernels/stochastic_update.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"
#include "tfodl/random.h"

namespace tfodl {
namespace {

constexpr int32_t kWeightLimit = 127;
constexpr int32_t kLargestStep = 127;
constexpr int32_t kSmallestStep = -128;
constexpr int32_t kOne = 1 << 16;  // a step of 1

constexpr uint32_t kSigns = 0x80808080u;  // the top bits of four bytes

// r of weight `lane` of eight.
int32_t RandomFraction(uint32_t draw, uint32_t lane) {
  if (lane >= 4) draw ^= kSigns;
  const uint32_t rotation = 8 * (lane % 4);
  return static_cast<int32_t>((draw >> rotation | draw << (32 - rotation) % 32) & 0xffffu);
}

// Subtracts floor(noisy / 2^16). Returns whether the weight saturated.
TFODL_COLD bool Subtract(int8_t* weight, int32_t noisy) {
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
  uint32_t steps = (TopHalves(t0, t2) | TopHalves(t1, t3) << 8) ^ kSigns;
  TFODL_OPAQUE(steps);  // is compared with 0 then
  return steps;
}

TFODL_NOINLINE uint32_t CountDifferent(uint32_t bytes, uint32_t others) {
  uint32_t count = 0;
  for (bytes ^= others; bytes != 0; bytes >>= 8) count += (bytes & 0xffu) != 0;
  return count;
}

// Subtracts `steps` per byte; -128 becomes -127. Most steps are far below 1: often all four are 0.
TFODL_INLINE void SubtractFour(int8_t* weights, uint32_t steps, uint32_t* saturated) {
  if (steps == 0) return;
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
TFODL_HOT void OuterWords(int8_t* weights, const int8_t* x, int32_t x_zero_point,
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
TFODL_INLINE uint32_t RowSteps(const FourSums& g, const FourSums& m, uint32_t draw) {
  return PackSteps(Clip24(MultiplyTop(g.s0, m.s0, AddLow16(kBase, draw))),
                   Clip24(MultiplyTop(g.s1, m.s1, AddLow16Rotated8(kBase, draw))),
                   Clip24(MultiplyTop(g.s2, m.s2, AddLow16Rotated16(kBase, draw))),
                   Clip24(MultiplyTop(g.s3, m.s3, AddLow16Rotated24(kBase, draw))));
}

// Groups of four, which have the same four multipliers; two of them share a draw. Returns the last.
TFODL_HOT uint32_t RowWords(int8_t* weights, const int32_t* gradient, const FourSums& m,
                                 uint32_t groups, RoundingState* state) {
  const int8_t* const end = weights + 4 * groups;
  uint32_t rng = state->rng;
  uint32_t draw = 0;
  bool shares = false;
  for (; weights != end; weights += 4, gradient += 4) {
    draw = shares ? draw ^ kSigns : NextRandom(&rng);
    shares = !shares;
    SubtractFour(weights, RowSteps(LoadFour(gradient), m, draw), &state->saturated);
  }
  state->rng = rng;
  return shares ? draw : draw ^ kSigns;
}

#endif  // TFODL_HAS_DSP

// The plain twin, from weight `i`, a multiple of eight, to `count`.
TFODL_COLD void OuterBytes(int8_t* weights, const int8_t* x, int32_t x_zero_point, int32_t scale,
                           uint32_t i, uint32_t count, RoundingState* state) {
  uint32_t draw = 0;
  for (; i < count; ++i) {
    if (i % 8 == 0) draw = NextRandom(&state->rng);
    const int32_t noisy = scale * (x[i] - x_zero_point) + RandomFraction(draw, i % 8);
    state->saturated += Subtract(&weights[i], noisy);
  }
}

}  // namespace

TFODL_COLD void StochasticOuter(int8_t* weights, const int8_t* x, int32_t x_zero_point,
                                float factor, uint32_t count, RoundingState* state) {
  const int32_t scale = FloorToInt(factor * 65536.0f + NextUniform(&state->rng));
  if (scale == 0) return;
  uint32_t done = 0;
#if TFODL_HAS_DSP
  constexpr int32_t kMost = (kLargestStep - 1) * kOne / 255;
  if (scale <= kMost && scale >= -kMost) {
    done = count & ~7u;
    OuterWords(weights, x, x_zero_point, scale, count / 8, state);
  }
#endif
  if (done < count) OuterBytes(weights, x, x_zero_point, scale, done, count, state);
}

TFODL_COLD void StochasticRow(int8_t* weights, const int32_t* gradient, const StepScale* scales,
                              uint32_t next_scale, uint32_t count, RoundingState* state) {
  uint32_t i = 0;
  uint32_t draw = 0;
#if TFODL_HAS_DSP
  if (count >= 4 && AreTop(scales, next_scale)) {
    i = count & ~3u;
    draw = RowWords(weights, gradient, FourMultipliers(scales, next_scale), count / 4, state);
  }
#endif
  for (; i < count; ++i) {
    if (i % 8 == 0) draw = NextRandom(&state->rng);
    const int32_t noisy =
        ScaledGradient(gradient[i], scales[i * next_scale]) + RandomFraction(draw, i % 8);
    state->saturated += Subtract(&weights[i], noisy);
  }
}

}  // namespace tfodl
