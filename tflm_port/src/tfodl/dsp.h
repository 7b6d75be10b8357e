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

// Without optimization a compiler finds no registers for the larger blocks of assembler.
#if defined(__GNUC__) && defined(__ARM_FEATURE_SIMD32) && defined(__ARMEL__) && \
    defined(__OPTIMIZE__)
#define TFODL_HAS_DSP 1
#else
#define TFODL_HAS_DSP 0
#endif

// Floats in registers of their own, of which one instruction reads and writes several.
#if TFODL_HAS_DSP && defined(__ARM_FP) && (__ARM_FP & 4) != 0 && !defined(__SOFTFP__)
#define TFODL_HAS_FPU 1
#else
#define TFODL_HAS_FPU 0
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
#if TFODL_HAS_DSP
  uint32_t result;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(low), "r"(high));
  return result;
#else
  return (static_cast<uint32_t>(low) & 0xffffu) | static_cast<uint32_t>(high) << 16;
#endif
}

// Sums of four channels, or of four elements.
struct FourSums {
  int32_t s0, s1, s2, s3;
};

// What MultiplyWindows works on.
struct WindowPair {
  const int16_t* elements;  // of both windows, aligned to four bytes
  uint32_t other;           // bytes from one row of weights to the other
  uint32_t count;           // elements of a window, one group of four at least
  uint32_t first;           // elements by which the second group is behind the first one
  int32_t* end;             // of the sums of window 0
};

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

// The same without an offset.
TFODL_INLINE uint32_t EvenBytes(uint32_t bytes) {
  uint32_t result;
  __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(bytes));
  return result;
}
TFODL_INLINE uint32_t OddBytes(uint32_t bytes) {
  uint32_t result;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(bytes));
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

// sum + both products of the halves of a and b.
TFODL_INLINE int32_t MultiplyPairs(uint32_t a, uint32_t b, int32_t sum) {
  int32_t result;
  __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
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

// floor(value / 2^shift + 1/2) + plus, for shifts from 1 to 31. Only the lowest byte of the shift
// counts.
TFODL_INLINE int32_t ShiftRounded(int32_t value, int32_t shift, int32_t plus) {
  int32_t result;
  __asm__("asrs %0, %1, %2\n\tadc %0, %0, %3"
          : "=&r"(result)
          : "r"(value), "r"(shift), "r"(plus)
          : "cc");
  return result;
}

// `bytes` with the lowest byte of `value` as byte `place`.
template <int place>
TFODL_INLINE uint32_t WithByte(uint32_t bytes, int32_t value) {
  __asm__("bfi %0, %1, %2, #8" : "+r"(bytes) : "r"(value), "n"(8 * place));
  return bytes;
}

// Within int8.
TFODL_INLINE int32_t ClipByte(int32_t value) {
  int32_t result;
  __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value));
  return result;
}

// Four bytes at once, each within [low, high].
TFODL_INLINE uint32_t ClampBytes(uint32_t bytes, uint32_t low, uint32_t high) {
  uint32_t result, difference;
  __asm__(
      "ssub8 %1, %2, %3\n\tsel %0, %2, %3\n\t"
      "ssub8 %1, %4, %0\n\tsel %0, %0, %4"
      : "=&r"(result), "=&r"(difference)
      : "r"(bytes), "r"(low), "r"(high)
      : "cc");
  return result;
}

// Adds to the sums of window 0 up to their end, and to those of window 1, 16 bytes behind, the
// products of rows of weights, two at a time; returns what is behind these. Of each group
// `elements` has 0 and 2 of window 0 and of window 1, then 1 and 3. One block, because a compiler
// finds no 13 registers for its instructions. Behind the first group one that makes the others even
// comes first.
TFODL_INLINE const int8_t* MultiplyWindows(const WindowPair* pair, const int8_t* weights,
                                           int32_t* sums) {
#define TFODL_PRODUCTS                             \
  "ldrd %[x], %[y], [%[windows]], #8\n\t"          \
  "sxtb16 %[t], %[a_bytes]\n\t"                    \
  "smlad %[a0], %[t], %[x], %[a0]\n\t"             \
  "smlad %[a1], %[t], %[y], %[a1]\n\t"             \
  "sxtb16 %[t], %[b_bytes]\n\t"                    \
  "smlad %[b0], %[t], %[x], %[b0]\n\t"             \
  "smlad %[b1], %[t], %[y], %[b1]\n\t"             \
  "ldrd %[x], %[y], [%[windows]], #8\n\t"          \
  "sxtb16 %[a_bytes], %[a_bytes], ror #8\n\t"      \
  "smlad %[a0], %[a_bytes], %[x], %[a0]\n\t"       \
  "smlad %[a1], %[a_bytes], %[y], %[a1]\n\t"       \
  "sxtb16 %[b_bytes], %[b_bytes], ror #8\n\t"      \
  "smlad %[b0], %[b_bytes], %[x], %[b0]\n\t"       \
  "smlad %[b1], %[b_bytes], %[y], %[b1]\n\t"
#define TFODL_GROUP                                \
  "ldr %[b_bytes], [%[weights], %[pair]]\n\t"      \
  "ldr %[a_bytes], [%[weights]], #4\n\t" TFODL_PRODUCTS
  int32_t a0, a1, b0, b1;
  uint32_t a_bytes, b_bytes, t, x, y;
  const int16_t* windows;
  // From the start to the end of two rows `pair` and `sums` are on the stack, and their registers
  // have `other` and the end of row a.
  __asm__ volatile(
      "1:\tldrd %[a0], %[b0], [%[sums]]\n\t"
      "strd %[pair], %[sums], [sp, #-8]!\n\t"
      "mov %[a1], %[a0]\n\t"
      "mov %[b1], %[b0]\n\t"
      "ldrd %[sums], %[t], [%[pair], #8]\n\t"
      "ldr %[windows], [%[pair]]\n\t"
      "ldr %[pair], [%[pair], #4]\n\t"
      "add %[sums], %[sums], %[weights]\n\t"
      "ldr %[b_bytes], [%[weights], %[pair]]\n\t"
      "ldr %[a_bytes], [%[weights]]\n\t"
      "add %[weights], %[weights], %[t]\n\t" TFODL_PRODUCTS
      "subs %[t], %[sums], %[weights]\n\t"
      "beq 4f\n\t"
      "lsls %[t], %[t], #29\n\t"
      "bmi 3f\n"
      "2:\t" TFODL_GROUP
      "3:\t" TFODL_GROUP
      "cmp %[weights], %[sums]\n\t"
      "bne 2b\n"
      "4:\tadd %[weights], %[sums], %[pair]\n\t"
      "ldrd %[pair], %[sums], [sp], #8\n\t"
      "strd %[a1], %[b1], [%[sums], #16]\n\t"
      "strd %[a0], %[b0], [%[sums]], #8\n\t"
      "ldr %[t], [%[pair], #16]\n\t"
      "cmp %[sums], %[t]\n\t"
      "bne 1b"
      : [pair] "+r"(pair), [weights] "+r"(weights), [sums] "+r"(sums), [windows] "=&r"(windows),
        [a0] "=&r"(a0), [a1] "=&r"(a1), [b0] "=&r"(b0), [b1] "=&r"(b1), [a_bytes] "=&r"(a_bytes),
        [b_bytes] "=&r"(b_bytes), [t] "=&r"(t), [x] "=&r"(x), [y] "=&r"(y)
      :
      : "cc", "memory");
#undef TFODL_GROUP
#undef TFODL_PRODUCTS
  return weights;
}

// The window of a 3x3 kernel on one channel, in scan order, and what its outputs are shifted by.
struct NineInputs {
  uint32_t x02, x13, x46, x57;  // pairs of inputs
  uint32_t x8;                  // the last one, and in the high half the zero point of the outputs
};

// The outputs from y to `end`, one at least: of each a bias plus nine weights times the inputs,
// scaled to int8 as Requantizer does it where it IsPlain.
TFODL_INLINE void MultiplyNine(const NineInputs& inputs, const int8_t* weights, const int32_t* bias,
                               const uint8_t* multipliers, const int8_t* shifts, int8_t* y,
                               const int8_t* end) {
  int32_t sum;
  uint32_t bytes, t;
  __asm__ volatile(
      "1:\n\t"
      "ldr %[bytes], [%[weights]], #4\n\t"
      "ldr %[sum], [%[bias]], #4\n\t"
      "sxtb16 %[t], %[bytes]\n\t"
      "smlad %[sum], %[t], %[x02], %[sum]\n\t"
      "sxtb16 %[t], %[bytes], ror #8\n\t"
      "smlad %[sum], %[t], %[x13], %[sum]\n\t"
      "ldr %[bytes], [%[weights]], #4\n\t"
      "sxtb16 %[t], %[bytes]\n\t"
      "smlad %[sum], %[t], %[x46], %[sum]\n\t"
      "sxtb16 %[t], %[bytes], ror #8\n\t"
      "smlad %[sum], %[t], %[x57], %[sum]\n\t"
      "ldrsb %[bytes], [%[weights]], #1\n\t"
      "ldr %[t], [%[multipliers]], #4\n\t"
      "smlabb %[sum], %[bytes], %[x8], %[sum]\n\t"
      "ldrb %[bytes], [%[shifts]], #1\n\t"
      "lsl %[t], %[t], #1\n\t"
      "smmlar %[sum], %[sum], %[t], %[sum]\n\t"
      "add %[sum], %[sum], %[sum], asr #31\n\t"
      "asrs %[sum], %[sum], %[bytes]\n\t"
      "ldr %[t], %[end]\n\t"
      "adc %[sum], %[sum], %[x8], asr #16\n\t"
      "ssat %[sum], #8, %[sum]\n\t"
      "strb %[sum], [%[y]], #1\n\t"
      "cmp %[y], %[t]\n\t"
      "bne 1b"
      : [weights] "+&r"(weights), [bias] "+&r"(bias), [multipliers] "+&r"(multipliers),
        [shifts] "+&r"(shifts), [y] "+&r"(y), [sum] "=&r"(sum), [bytes] "=&r"(bytes), [t] "=&r"(t)
      : [x02] "r"(inputs.x02), [x13] "r"(inputs.x13), [x46] "r"(inputs.x46),
        [x57] "r"(inputs.x57), [x8] "r"(inputs.x8), [end] "m"(end)
      : "cc", "memory");
}

// Adds four rows of weights, `row` bytes apart, times the bytes from `x` to `end` plus the pair
// `offsets`: one group of four at least. `x` and `weights` move behind them. One block, because a
// compiler finds no 13 registers for its instructions. An odd group is done first.
TFODL_INLINE void MultiplyFourRows(const int8_t** x, const int8_t* end, const int8_t** weights,
                                   uint32_t row, uint32_t offsets, FourSums* sums) {
#define TFODL_ADD_ROW(sum)                      \
  "sxtb16 %[even], %[odd]\n\t"                  \
  "sxtb16 %[odd], %[odd], ror #8\n\t"           \
  "smlad " sum ", %[even], %[x_even], " sum "\n\t" \
  "smlad " sum ", %[odd], %[x_odd], " sum "\n\t"
#define TFODL_ADD_GROUP                              \
  "ldr %[x_odd], [%[x]], #4\n\t"                     \
  "ldr %[odd], [%[a], %[row]]\n\t"                   \
  "sxtab16 %[x_even], %[offsets], %[x_odd]\n\t"      \
  "sxtab16 %[x_odd], %[offsets], %[x_odd], ror #8\n\t" \
  TFODL_ADD_ROW("%[s1]")                             \
  "ldr %[odd], [%[a], %[row], lsl #1]\n\t"           \
  TFODL_ADD_ROW("%[s2]")                             \
  "add %[odd], %[a], %[row]\n\t"                     \
  "ldr %[odd], [%[odd], %[row], lsl #1]\n\t"         \
  TFODL_ADD_ROW("%[s3]")                             \
  "ldr %[odd], [%[a]], #4\n\t"                       \
  TFODL_ADD_ROW("%[s0]")
  uint32_t x_even, x_odd, even, odd;
  __asm__(
      "subs %[odd], %[end], %[x]\n\t"
      "lsls %[odd], %[odd], #29\n\t"
      "bmi 2f\n"
      "1:\n\t" TFODL_ADD_GROUP
      "\n2:\n\t" TFODL_ADD_GROUP
      "cmp %[x], %[end]\n\t"
      "bne 1b"
      : [x] "+r"(*x), [a] "+r"(*weights), [s0] "+r"(sums->s0), [s1] "+r"(sums->s1),
        [s2] "+r"(sums->s2), [s3] "+r"(sums->s3), [x_even] "=&r"(x_even), [x_odd] "=&r"(x_odd),
        [even] "=&r"(even), [odd] "=&r"(odd)
      : [end] "r"(end), [row] "r"(row), [offsets] "r"(offsets)
      : "cc", "memory");
#undef TFODL_ADD_GROUP
#undef TFODL_ADD_ROW
}

// Adds four bytes `x` plus the pair `offsets` times four bytes `weights`; both move on by `step`.
// One block, because a compiler that mixes several finds no registers for them.
TFODL_INLINE void MultiplyTap(const int8_t** x, const int8_t** weights, uint32_t step,
                              uint32_t offsets, FourSums* sums) {
  uint32_t x_even, x_odd, even, odd;
  __asm__(
      "ldr %[x_odd], [%[x]]\n\t"
      "ldr %[odd], [%[weights]]\n\t"
      "add %[x], %[x], %[step]\n\t"
      "add %[weights], %[weights], %[step]\n\t"
      "sxtab16 %[x_even], %[offsets], %[x_odd]\n\t"
      "sxtb16 %[even], %[odd]\n\t"
      "sxtab16 %[x_odd], %[offsets], %[x_odd], ror #8\n\t"
      "sxtb16 %[odd], %[odd], ror #8\n\t"
      "smlabb %[s0], %[x_even], %[even], %[s0]\n\t"
      "smlabb %[s1], %[x_odd], %[odd], %[s1]\n\t"
      "smlatt %[s2], %[x_even], %[even], %[s2]\n\t"
      "smlatt %[s3], %[x_odd], %[odd], %[s3]"
      : [x] "+r"(*x), [weights] "+r"(*weights), [s0] "+r"(sums->s0), [s1] "+r"(sums->s1),
        [s2] "+r"(sums->s2), [s3] "+r"(sums->s3), [x_even] "=&r"(x_even), [x_odd] "=&r"(x_odd),
        [even] "=&r"(even), [odd] "=&r"(odd)
      : [step] "r"(step), [offsets] "r"(offsets)
      : "memory");
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

#if TFODL_HAS_FPU

// Four int32 become floats times `factor` in place. Moves `memory` behind them.
TFODL_INLINE void ScaleFour(uint8_t** memory, float factor) {
  __asm__ volatile(
      "vldmia %0, {s0-s3}\n\t"
      "vcvt.f32.s32 s0, s0\n\t"
      "vcvt.f32.s32 s1, s1\n\t"
      "vcvt.f32.s32 s2, s2\n\t"
      "vcvt.f32.s32 s3, s3\n\t"
      "vmul.f32 s0, s0, %1\n\t"
      "vmul.f32 s1, s1, %1\n\t"
      "vmul.f32 s2, s2, %1\n\t"
      "vmul.f32 s3, s3, %1\n\t"
      "vstmia %0!, {s0-s3}"
      : "+r"(*memory)
      : "t"(factor)
      : "s0", "s1", "s2", "s3", "memory");
}

#endif  // TFODL_HAS_FPU

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

// To lower addresses where the two overlap.
TFODL_INLINE void CopyBytes(const int8_t* from, uint32_t count, int8_t* to) {
#if TFODL_HAS_DSP
  // The memmove of a C library made for size takes five instructions per byte.
  for (; count >= 4; count -= 4, from += 4, to += 4) StoreWord(to, LoadWord(from));
  if ((count & 2) != 0) {
    uint16_t half;
    memcpy(&half, from, sizeof half);
    memcpy(to, &half, sizeof half);
    from += 2;
    to += 2;
  }
  if ((count & 1) != 0) *to = *from;
#else
  memmove(to, from, count);
#endif
}

void Clear(int32_t* values, uint32_t count);

}  // namespace tfodl

#endif  // TFODL_DSP_H_
