#include "tfodl/float_math.h"

namespace tfodl {
namespace {

constexpr uint32_t kAboveSqrtHalf = 0x3f3504f4u;  // the bits of the first float above sqrt(1/2)

// 1.5 * 2^23: the last bit of a sum with it is worth 1, and holds the rounded number.
constexpr float kRound = 12582912.0f;

// x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 split in two so that r keeps its bits; e^r is its
// Taylor polynomial of degree 7 (remainder below 6e-9).
TFODL_INLINE float Exp(float x) {
  if (!(x > -87.0f)) return 0.0f;
  const float shifted = x * 1.44269504f + kRound;
  const float count = shifted - kRound;  // n
  const float r = (x - count * 0.693359375f) + count * 2.12194440e-4f;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * FloatFromBits((FloatBits(shifted) + 127) << 23);
}

}  // namespace

void ExpOfNonPositives(float* x, uint32_t count) {
  for (const float* const end = x + count; x != end; ++x) *x = Exp(*x);
}

// 1 + x = 2^n m with m in (sqrt(1/2), sqrt(2)]; ln m = 2 atanh(t),
// t = (m - 1) / (m + 1), |t| < 0.1716, by its odd series up to t^9 (remainder below 1e-9).
float LogOfOnePlus(float x) {
  const uint32_t bits = FloatBits(1.0f + x);
  const uint32_t n = (bits - kAboveSqrtHalf) >> 23;
  const float m = FloatFromBits(bits - (n << 23));
  const float t = (m - 1.0f) / (m + 1.0f);
  const float s = t * t;
  float p = 1.0f / 9.0f;
  p = p * s + 1.0f / 7.0f;
  p = p * s + 1.0f / 5.0f;
  p = p * s + 1.0f / 3.0f;
  p = p * s + 1.0f;
  const float count = static_cast<float>(static_cast<int32_t>(n));
  return (2.0f * t * p + count * -2.12194440e-4f) + count * 0.693359375f;
}

// sin(y) of y = pi (1/2 - x), |y| <= pi / 2, by its odd series up to y^11 (remainder below 6e-8).
float CosOfPi(float x) {
  const float y = (0.5f - x) * 3.14159265f;
  const float s = y * y;
  float p = -1.0f / 39916800.0f;
  p = p * s + 1.0f / 362880.0f;
  p = p * s - 1.0f / 5040.0f;
  p = p * s + 1.0f / 120.0f;
  p = p * s - 1.0f / 6.0f;
  p = p * s + 1.0f;
  return p * y;
}

}  // namespace tfodl
