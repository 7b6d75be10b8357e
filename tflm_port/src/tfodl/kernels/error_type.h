// What an error is stored as between ops: float, or bfloat16, its upper half.
//
// A bfloat16 has the range of a float and 8 bits of precision, at half the memory. Values are
// rounded to it, halves to even, wherever an op writes an error; ops compute with floats and
// integers.
#ifndef TFODL_KERNELS_ERROR_TYPE_H_
#define TFODL_KERNELS_ERROR_TYPE_H_

#include <stdint.h>

#include "tfodl/float_math.h"
#include "tfodl/inline.h"

namespace tfodl {

struct Bfloat16 {
  uint16_t bits;
};

TFODL_INLINE float ToFloat(float error) { return error; }

TFODL_INLINE float ToFloat(Bfloat16 error) { return FloatFromBits(uint32_t{error.bits} << 16); }

TFODL_INLINE void StoreError(float value, float* error) { *error = value; }

// Infinity stays, and so does a NaN: those that arithmetic makes have zeros in their lower half.
TFODL_INLINE void StoreError(float value, Bfloat16* error) {
  const uint32_t bits = FloatBits(value);
  error->bits = static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// As an integer: that takes any address.
TFODL_INLINE void ClearError(float* error) {
  const uint32_t zero = 0;
  memcpy(error, &zero, sizeof zero);
}

TFODL_INLINE void ClearError(Bfloat16* error) { error->bits = 0; }

// The bits of |error| as a float.
TFODL_INLINE uint32_t ErrorMagnitude(float error) { return MagnitudeBits(error); }

TFODL_INLINE uint32_t ErrorMagnitude(Bfloat16 error) {
  return (error.bits & 0x7fffu) * 0x10000u;
}

// Twice as much, which takes an instruction less: the sign is shifted out.
TFODL_INLINE uint32_t TwiceMagnitude(float error) { return FloatBits(error) << 1; }

TFODL_INLINE uint32_t TwiceMagnitude(Bfloat16 error) { return uint32_t{error.bits} << 17; }

// The bits of an error as a float.
TFODL_INLINE uint32_t ErrorBits(float error) { return FloatBits(error); }

TFODL_INLINE uint32_t ErrorBits(Bfloat16 error) { return uint32_t{error.bits} << 16; }

// A NaN, larger than all errors. It stops NextAbove, in place of an index that would be compared.
TFODL_INLINE void StoreStop(float* error) {
  const uint32_t stop = 0x7fffffffu;
  memcpy(error, &stop, sizeof stop);
}

TFODL_INLINE void StoreStop(Bfloat16* error) { error->bits = 0x7fffu; }

// The bits of the next error of which twice the magnitude is above `floor`. `at` moves behind it.
template <class Error>
TFODL_INLINE uint32_t NextAbove(uint32_t floor, const Error** at) {
  const Error* next = *at;
  uint32_t bits;
  do {
    bits = ErrorBits(*next++);
  } while (bits << 1 <= floor);
  TFODL_OPAQUE(bits);  // so that nothing of what follows is done for all of them
  TFODL_OPAQUE(next);
  *at = next;
  return bits;
}

// How far apart two magnitudes are at least.
TFODL_INLINE constexpr uint32_t MagnitudeSpacing(const float*) { return 1; }

TFODL_INLINE constexpr uint32_t MagnitudeSpacing(const Bfloat16*) { return 0x10000u; }

}  // namespace tfodl

#endif  // TFODL_KERNELS_ERROR_TYPE_H_
