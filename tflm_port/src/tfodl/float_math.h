// exp, log and float helpers with the same result on every platform: only IEEE single precision
// additions, multiplications and divisions, never libm.
#ifndef TFODL_FLOAT_MATH_H_
#define TFODL_FLOAT_MATH_H_

#include <stdint.h>
#include <string.h>

#include "tfodl/optimize.h"
#include "tfodl/float_contract.h"

namespace tfodl {

TFODL_INLINE uint32_t FloatBits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

TFODL_INLINE float FloatFromBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// The bits of |value|. For two finite floats they order like the magnitudes.
TFODL_INLINE uint32_t MagnitudeBits(float value) { return FloatBits(value) & 0x7fffffffu; }

TFODL_INLINE float Magnitude(float value) { return FloatFromBits(MagnitudeBits(value)); }

TFODL_INLINE bool IsFinite(float value) { return MagnitudeBits(value) < 0x7f800000u; }

// floor(value) for |value| < 2^31.
TFODL_INLINE int32_t FloorToInt(float value) {
  const int32_t truncated = static_cast<int32_t>(value);
  return static_cast<float>(truncated) > value ? truncated - 1 : truncated;
}

// e^x for x <= 0, relative error below 2^-22; 0 below -87 (where e^x < 2^-125).
//
// x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 split in two so that r keeps its bits; e^r is its
// Taylor polynomial of degree 7 (remainder below 6e-9).
inline float ExpOfNonPositive(float x) {
  if (!(x > -87.0f)) return 0.0f;
  const int32_t n = FloorToInt(x * 1.44269504f + 0.5f);
  const float count = static_cast<float>(n);
  const float r = (x - count * 0.693359375f) + count * 2.12194440e-4f;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * FloatFromBits(static_cast<uint32_t>(n + 127) << 23);
}

// ln x for finite x >= 1, absolute error below 1e-7 + 2^-22 ln x.
//
// x = 2^n m with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh(t), t = (m - 1) / (m + 1), |t| < 0.1716,
// by its odd series up to t^9 (remainder below 1e-9).
inline float LogOfAtLeastOne(float x) {
  const uint32_t bits = FloatBits(x);
  int32_t n = static_cast<int32_t>(bits >> 23) - 127;
  float m = FloatFromBits((bits & 0x007fffffu) | 0x3f800000u);
  if (m > 1.41421356f) {
    m = m * 0.5f;
    ++n;
  }
  const float t = (m - 1.0f) / (m + 1.0f);
  const float s = t * t;
  float p = 1.0f / 9.0f;
  p = p * s + 1.0f / 7.0f;
  p = p * s + 1.0f / 5.0f;
  p = p * s + 1.0f / 3.0f;
  p = p * s + 1.0f;
  const float count = static_cast<float>(n);
  return (2.0f * t * p + count * -2.12194440e-4f) + count * 0.693359375f;
}

}  // namespace tfodl

#endif  // TFODL_FLOAT_MATH_H_
