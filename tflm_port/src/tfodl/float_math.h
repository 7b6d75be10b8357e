// exp, log and float helpers with the same result on every platform: only IEEE single precision
// additions, multiplications and divisions, never libm.
#ifndef TFODL_FLOAT_MATH_H_
#define TFODL_FLOAT_MATH_H_

#include <stdint.h>
#include <string.h>

#include "tfodl/inline.h"
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

// The nearest int8, halves up; NaN gives -128.
inline int8_t SaturateToInt8(float value) {
  if (!(value > -128.0f)) return -128;
  if (value >= 127.0f) return 127;
  return static_cast<int8_t>(FloorToInt(value + 0.5f));
}

// From x to e^x in place for x <= 0, relative error below 2^-22; 0 below -87 (where e^x < 2^-125).
void ExpOfNonPositives(float* x, uint32_t count);

inline float ExpOfNonPositive(float x) {
  ExpOfNonPositives(&x, 1);
  return x;
}

// ln(1 + x) for finite x >= 0, absolute error below 1e-7 + 2^-22 ln(1 + x).
float LogOfOnePlus(float x);

constexpr float kLittle = 0.125f;

// ln(1 + x) for 0 <= x < kLittle, relative error below 3e-7: 2 atanh(t), t = x / (x + 2) < 0.0589,
// by its odd series up to t^5 (remainder below 6e-9).
TFODL_INLINE float LogOfOnePlusLittle(float x) {
  const float t = x / (x + 2.0f);
  const float s = t * t;
  return (t + t) * ((s * (1.0f / 5.0f) + 1.0f / 3.0f) * s + 1.0f);
}

// cos(pi x) for 0 <= x <= 1, absolute error below 3e-7.
float CosOfPi(float x);

}  // namespace tfodl

#endif  // TFODL_FLOAT_MATH_H_
