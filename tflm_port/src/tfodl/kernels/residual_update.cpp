#include "tfodl/optimize.h"

#include "tfodl/kernels/residual_update.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"

namespace tfodl {
namespace {

constexpr int32_t kLowest = -127 * 256;
constexpr int32_t kHighest = INT16_MAX;

int32_t Bounded(int32_t value, int32_t low, int32_t high) {
  return value < low ? low : value > high ? high : value;
}

// Returns whether the weight saturated.
TFODL_COLD bool Subtract(int8_t* weight, int8_t* residual, int32_t d) {
  const int32_t wanted = *weight * 256 + *residual + 128 - Bounded(d, INT16_MIN, INT16_MAX);
  const int32_t updated = Bounded(wanted, kLowest, kHighest);
  *weight = static_cast<int8_t>(updated >> 8);
  *residual = static_cast<int8_t>((updated & 0xff) - 128);
  return updated != wanted;
}

#if TFODL_HAS_DSP

// Four weights at a time, as pairs: "even" are the weights 0 and 2, "odd" 1 and 3.
constexpr uint32_t kHighBytes = 0xff00ff00u;
constexpr uint32_t kOnePair = 0x00010001u;
constexpr uint32_t kOneWeight = 0x01000100u;  // a pair of 256
constexpr uint32_t kSigns = 0x80808080u;

TFODL_NOINLINE uint32_t CountDifferent(uint32_t pair, uint32_t other) {
  pair ^= other;
  return ((pair & 0xffffu) != 0) + ((pair >> 16) != 0);
}

// What is left of two weights.
TFODL_INLINE uint32_t SubtractPair(uint32_t before, uint32_t d) {
  const uint32_t above =
      SubtractPairsSaturating(SubtractPairsSaturating(before, d), kOneWeight);
  return AddPairsSaturating(above, kOneWeight);
}

TFODL_INLINE uint32_t SubtractFour(int8_t* weights, int8_t* residuals, uint32_t even,
                                   uint32_t odd) {
  const uint32_t high = LoadWord(weights);
  const uint32_t low = LoadWord(residuals) ^ kSigns;
  const uint32_t even_before = AddEvenUnsignedBytes(high << 8 & kHighBytes, low);
  const uint32_t odd_before = AddOddUnsignedBytes(high & kHighBytes, low);
  const uint32_t even_after = SubtractPair(even_before, even);
  const uint32_t odd_after = SubtractPair(odd_before, odd);
  StoreWord(weights, (odd_after & kHighBytes) | (even_after & kHighBytes) >> 8);
  StoreWord(residuals,
            ((even_after & ~kHighBytes) | (odd_after & ~kHighBytes) << 8) ^ kSigns);
  const uint32_t even_taken = SubtractPairs(even_before, even_after);
  const uint32_t odd_taken = SubtractPairs(odd_before, odd_after);
  if (__builtin_expect(((even_taken ^ even) | (odd_taken ^ odd)) == 0, 1)) return 0;
  return CountDifferent(even_taken, even) + CountDifferent(odd_taken, odd);
}

// d of two weights: floor(A x / 2^16 + 1/2) is floor(2 A x / 2^16), plus one, halved.
TFODL_INLINE uint32_t OuterSteps(int32_t twice, uint32_t x) {
  return HalvePairSums(MakePair(MultiplyWideLow(twice, x), MultiplyWideHigh(twice, x)),
                       kOnePair);
}

// Groups of four. Inputs at their zero point and steps of zero change nothing, and cost little.
TFODL_HOT uint32_t OuterWords(int8_t* weights, int8_t* residuals, const int8_t* x,
                                   int32_t x_zero_point, int32_t scale, uint32_t groups) {
  const uint32_t offsets = MakePair(-x_zero_point, -x_zero_point);
  const uint32_t zeros = (static_cast<uint32_t>(x_zero_point) & 0xffu) * 0x01010101u;
  uint32_t saturated = 0;
  for (const int8_t* const end = x + 4 * groups; x != end; x += 4, weights += 4, residuals += 4) {
    const uint32_t word = LoadWord(x);
    if (word == zeros) continue;
    const uint32_t even = OuterSteps(2 * scale, EvenBytes(offsets, word));
    const uint32_t odd = OuterSteps(2 * scale, OddBytes(offsets, word));
    if ((even | odd) == 0) continue;
    saturated += SubtractFour(weights, residuals, even, odd);
  }
  return saturated;
}

// d of a gradient times m / 2^32.
TFODL_INLINE int32_t RowStep(int32_t gradient, int32_t multiplier) {
  return SaturateHalfOfShifted8(MultiplyTop(gradient, multiplier, 128));
}

// Groups of four, which have the same four multipliers.
TFODL_HOT uint32_t RowWords(int8_t* weights, int8_t* residuals, const int32_t* gradient,
                                 const FourSums& m, uint32_t groups) {
  uint32_t saturated = 0;
  for (; groups > 0; --groups, weights += 4, residuals += 4, gradient += 4) {
    const FourSums g = LoadFour(gradient);
    const uint32_t even = MakePair(RowStep(g.s0, m.s0), RowStep(g.s2, m.s2));
    const uint32_t odd = MakePair(RowStep(g.s1, m.s1), RowStep(g.s3, m.s3));
    if ((even | odd) != 0) saturated += SubtractFour(weights, residuals, even, odd);
  }
  return saturated;
}

#endif  // TFODL_HAS_DSP

}  // namespace

TFODL_COLD uint32_t ResidualOuter(int8_t* weights, int8_t* residuals, const int8_t* x,
                                  int32_t x_zero_point, float factor, uint32_t count) {
  const int32_t scale = static_cast<int32_t>(factor * 16777216.0f);
  constexpr int32_t kLeast = 128;  // below, no step is as much as half of 2^-8
  if (scale < kLeast && scale > -kLeast) return 0;
  uint32_t saturated = 0;
  uint32_t i = 0;
#if TFODL_HAS_DSP
  constexpr int32_t kMost = INT16_MAX / 2 * 65536 / 255;  // twice a step is an int16
  if (scale <= kMost && scale >= -kMost) {
    i = count & ~3u;
    saturated = OuterWords(weights, residuals, x, x_zero_point, scale, count / 4);
  }
#endif
  for (; i < count; ++i) {
    const int64_t product = static_cast<int64_t>(scale) * (x[i] - x_zero_point);
    const int32_t d = static_cast<int32_t>((product + 32768) >> 16);
    saturated += Subtract(&weights[i], &residuals[i], d);
  }
  return saturated;
}

TFODL_COLD uint32_t ResidualRow(int8_t* weights, int8_t* residuals, const int32_t* gradient,
                                const StepScale* scales, uint32_t next_scale, uint32_t count) {
  uint32_t saturated = 0;
  uint32_t i = 0;
#if TFODL_HAS_DSP
  if (count >= 4 && AreTop(scales, next_scale)) {
    i = count & ~3u;
    const FourSums m = FourMultipliers(scales, next_scale);
    saturated = RowWords(weights, residuals, gradient, m, count / 4);
  }
#endif
  for (; i < count; ++i) {
    const int32_t t = ScaledGradient(gradient[i], scales[i * next_scale]);
    saturated += Subtract(&weights[i], &residuals[i], (t + 128) >> 8);
  }
  return saturated;
}

}  // namespace tfodl
