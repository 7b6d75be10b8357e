// The DSP instructions of a Cortex-M4, by name. TFODL_HAS_DSP is 1 where they exist; every use has
// a plain C++ twin that gives the same bits.
//
// A "pair" is two int16 in one word, "low" and "high". Words are read and written by memcpy: bytes
// need no alignment.
#ifndef TFODL_DSP_H_
#define TFODL_DSP_H_

#include <stdint.h>
#include <string.h>

#include "tfodl/inline.h"

#if defined(__GNUC__) && defined(__ARM_FEATURE_SIMD32) && defined(__ARMEL__)
#define TFODL_HAS_DSP 1
#else
#define TFODL_HAS_DSP 0
#endif

namespace tfodl {

TFODL_INLINE uint32_t LoadWord(const void* bytes) {
  uint32_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

TFODL_INLINE void StoreWord(void* bytes, uint32_t word) { memcpy(bytes, &word, sizeof word); }

// A pair of the low halves of two numbers.
TFODL_INLINE uint32_t MakePair(int32_t low, int32_t high) {
  return (static_cast<uint32_t>(low) & 0xffffu) | static_cast<uint32_t>(high) << 16;
}

#if TFODL_HAS_DSP

// Bytes 0 and 2 (1 and 3) of `bytes` sign-extended, plus the pair `offset`.
TFODL_INLINE uint32_t EvenBytes(uint32_t offset, uint32_t bytes) {
  uint32_t result;
  __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(offset), "r"(bytes));
  return result;
}
TFODL_INLINE uint32_t OddBytes(uint32_t offset, uint32_t bytes) {
  uint32_t result;
  __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(offset), "r"(bytes));
  return result;
}

// sum + half of a * half of b: Low or High of a, then of b.
TFODL_INLINE int32_t MultiplyLowLow(uint32_t a, uint32_t b, int32_t sum) {
  int32_t result;
  __asm__("smlabb %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
  return result;
}
TFODL_INLINE int32_t MultiplyLowHigh(uint32_t a, uint32_t b, int32_t sum) {
  int32_t result;
  __asm__("smlabt %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
  return result;
}
TFODL_INLINE int32_t MultiplyHighLow(uint32_t a, uint32_t b, int32_t sum) {
  int32_t result;
  __asm__("smlatb %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
  return result;
}
TFODL_INLINE int32_t MultiplyHighHigh(uint32_t a, uint32_t b, int32_t sum) {
  int32_t result;
  __asm__("smlatt %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
  return result;
}

// sum + (a * b + 2^31) / 2^32, rounded down.
TFODL_INLINE int32_t MultiplyTop(int32_t a, int32_t b, int32_t sum) {
  int32_t result;
  __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
  return result;
}

// sum + the low 16 bits of `bits` rotated right.
TFODL_INLINE int32_t AddLow16(int32_t sum, uint32_t bits) {
  int32_t result;
  __asm__("uxtah %0, %1, %2" : "=r"(result) : "r"(sum), "r"(bits));
  return result;
}
TFODL_INLINE int32_t AddLow16Rotated8(int32_t sum, uint32_t bits) {
  int32_t result;
  __asm__("uxtah %0, %1, %2, ror #8" : "=r"(result) : "r"(sum), "r"(bits));
  return result;
}
TFODL_INLINE int32_t AddLow16Rotated16(int32_t sum, uint32_t bits) {
  int32_t result;
  __asm__("uxtah %0, %1, %2, ror #16" : "=r"(result) : "r"(sum), "r"(bits));
  return result;
}
TFODL_INLINE int32_t AddLow16Rotated24(int32_t sum, uint32_t bits) {
  int32_t result;
  __asm__("uxtah %0, %1, %2, ror #24" : "=r"(result) : "r"(sum), "r"(bits));
  return result;
}

// Within [0, 2^24 - 1].
TFODL_INLINE int32_t Clip24(int32_t value) {
  int32_t result;
  __asm__("usat %0, #24, %1" : "=r"(result) : "r"(value));
  return result;
}

// The pair of the top halves.
TFODL_INLINE uint32_t TopHalves(int32_t low, int32_t high) {
  uint32_t result;
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(high), "r"(low));
  return result;
}

// Four bytes at once: saturating to int8, and modulo 256.
TFODL_INLINE uint32_t AddBytesSaturating(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("qadd8 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
TFODL_INLINE uint32_t SubtractBytesSaturating(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("qsub8 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
TFODL_INLINE uint32_t SubtractBytes(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("usub8 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b) : "cc");
  return result;
}

// Bytes 0 and 2 (1 and 3) of `bytes` zero-extended, plus the pair `sum`.
TFODL_INLINE uint32_t AddEvenUnsignedBytes(uint32_t sum, uint32_t bytes) {
  uint32_t result;
  __asm__("uxtab16 %0, %1, %2" : "=r"(result) : "r"(sum), "r"(bytes));
  return result;
}
TFODL_INLINE uint32_t AddOddUnsignedBytes(uint32_t sum, uint32_t bytes) {
  uint32_t result;
  __asm__("uxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(sum), "r"(bytes));
  return result;
}

// a * a half of b / 2^16, rounded down.
TFODL_INLINE int32_t MultiplyWideLow(int32_t a, uint32_t b) {
  int32_t result;
  __asm__("smulwb %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
TFODL_INLINE int32_t MultiplyWideHigh(int32_t a, uint32_t b) {
  int32_t result;
  __asm__("smulwt %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
  return result;
}

// floor(value / 2^8), saturating to int16.
TFODL_INLINE int32_t SaturateHalfOfShifted8(int32_t value) {
  int32_t result;
  __asm__("ssat %0, #16, %1, asr #8" : "=r"(result) : "r"(value));
  return result;
}

// The pair of the low halves.
TFODL_INLINE uint32_t PackLowHalves(int32_t low, int32_t high) {
  uint32_t result;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(low), "r"(high));
  return result;
}

// Pairs at once: saturating to int16, modulo 2^16, and half of the sum rounded down.
TFODL_INLINE uint32_t AddPairsSaturating(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("qadd16 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
TFODL_INLINE uint32_t SubtractPairsSaturating(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("qsub16 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
TFODL_INLINE uint32_t SubtractPairs(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("usub16 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b) : "cc");
  return result;
}
TFODL_INLINE uint32_t HalvePairSums(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("shadd16 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
  return result;
}

// Four sums in one register each.
struct FourSums {
  int32_t s0, s1, s2, s3;
};

// From memory that is aligned to four bytes.
TFODL_INLINE FourSums LoadFour(const int32_t* from) {
  typedef const int32_t Memory[4];
  FourSums v;
  __asm__("ldrd %0, %1, [%4]\n\tldrd %2, %3, [%4, #8]"
          : "=&r"(v.s0), "=&r"(v.s1), "=&r"(v.s2), "=&r"(v.s3)
          : "r"(from), "m"(*reinterpret_cast<Memory*>(from)));
  return v;
}

// Moves `to` behind them.
TFODL_INLINE void StoreFour(const FourSums& v, int32_t** to) {
  typedef int32_t Memory[4];
  int32_t* const start = *to;
  __asm__("strd %2, %3, [%0], #8\n\tstrd %4, %5, [%0], #8"
          : "+r"(*to), "=m"(*reinterpret_cast<Memory*>(start))
          : "r"(v.s0), "r"(v.s1), "r"(v.s2), "r"(v.s3));
}

// Adds the low (high) half of `factors` times (four bytes + offset), the pair `offsets`.
TFODL_INLINE void AddLowTimesBytes(uint32_t factors, uint32_t offsets, uint32_t bytes,
                                   FourSums* v) {
  const uint32_t even = EvenBytes(offsets, bytes);
  const uint32_t odd = OddBytes(offsets, bytes);
  v->s0 = MultiplyLowLow(factors, even, v->s0);
  v->s1 = MultiplyLowLow(factors, odd, v->s1);
  v->s2 = MultiplyLowHigh(factors, even, v->s2);
  v->s3 = MultiplyLowHigh(factors, odd, v->s3);
}
TFODL_INLINE void AddHighTimesBytes(uint32_t factors, uint32_t offsets, uint32_t bytes,
                                    FourSums* v) {
  const uint32_t even = EvenBytes(offsets, bytes);
  const uint32_t odd = OddBytes(offsets, bytes);
  v->s0 = MultiplyHighLow(factors, even, v->s0);
  v->s1 = MultiplyHighLow(factors, odd, v->s1);
  v->s2 = MultiplyHighHigh(factors, even, v->s2);
  v->s3 = MultiplyHighHigh(factors, odd, v->s3);
}

// Adds four int16, low and high, times (four bytes + offset).
TFODL_INLINE void AddFourTimesBytes(uint32_t low, uint32_t high, uint32_t offsets, uint32_t bytes,
                                    FourSums* v) {
  const uint32_t even = EvenBytes(offsets, bytes);
  const uint32_t odd = OddBytes(offsets, bytes);
  v->s0 = MultiplyLowLow(low, even, v->s0);
  v->s1 = MultiplyHighLow(low, odd, v->s1);
  v->s2 = MultiplyLowHigh(high, even, v->s2);
  v->s3 = MultiplyHighHigh(high, odd, v->s3);
}

#endif  // TFODL_HAS_DSP

inline void Clear(int32_t* values, uint32_t count) {
#if TFODL_HAS_DSP
  const FourSums zero = {0, 0, 0, 0};
  for (; count >= 4; count -= 4) StoreFour(zero, &values);
#endif
  for (; count > 0; --count) *values++ = 0;
}

}  // namespace tfodl

#endif  // TFODL_DSP_H_
