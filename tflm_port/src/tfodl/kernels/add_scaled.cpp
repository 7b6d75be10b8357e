#include "tfodl/optimize.h"

#include "tfodl/kernels/add_scaled.h"

#include "tfodl/dsp.h"

namespace tfodl {
namespace {

#if TFODL_HAS_DSP

// Adds four bytes of a row, in `even`, times the factor in this half of `factors`, b or t.
#define TFODL_ADD_PRODUCTS(half)                             \
  "sxtab16 %[odd], %[offsets], %[even], ror #8\n\t"          \
  "sxtab16 %[even], %[offsets], %[even]\n\t"                 \
  "smla" half "b %[s0], %[factors], %[even], %[s0]\n\t"      \
  "smla" half "b %[s1], %[factors], %[odd], %[s1]\n\t"       \
  "smla" half "t %[s2], %[factors], %[even], %[s2]\n\t"      \
  "smla" half "t %[s3], %[factors], %[odd], %[s3]\n\t"

#define TFODL_ADD_FIRST                \
  "1:\n\t"                             \
  "ldr %[even], [%[first]], #4\n\t"    \
  "ldrd %[s0], %[s1], [%[sums]]\n\t"   \
  "ldrd %[s2], %[s3], [%[sums], #8]\n\t" TFODL_ADD_PRODUCTS("b")

#define TFODL_STORE_SUMS                 \
  "cmp %[first], %[end]\n\t"             \
  "strd %[s0], %[s1], [%[sums]], #8\n\t" \
  "strd %[s2], %[s3], [%[sums]], #8\n\t" \
  "bne 1b"

// Four elements at a time until `first` is at `end`. All pointers move on.
TFODL_INLINE void AddScaledWords(const int8_t** first, const int8_t** second, const int8_t* end,
                                 uint32_t factors, uint32_t offsets, int32_t** sums) {
  uint32_t even, odd;
  int32_t s0, s1, s2, s3;
  __asm__ volatile(TFODL_ADD_FIRST "ldr %[even], [%[second]], #4\n\t" TFODL_ADD_PRODUCTS("t")
                       TFODL_STORE_SUMS
                   : [first] "+&r"(*first), [second] "+&r"(*second), [sums] "+&r"(*sums),
                     [even] "=&r"(even), [odd] "=&r"(odd), [s0] "=&r"(s0), [s1] "=&r"(s1),
                     [s2] "=&r"(s2), [s3] "=&r"(s3)
                   : [end] "r"(end), [factors] "r"(factors), [offsets] "r"(offsets)
                   : "cc", "memory");
}

// The same of the first row alone.
TFODL_INLINE void AddRowWords(const int8_t** first, const int8_t* end, uint32_t factors,
                              uint32_t offsets, int32_t** sums) {
  uint32_t even, odd;
  int32_t s0, s1, s2, s3;
  __asm__ volatile(TFODL_ADD_FIRST TFODL_STORE_SUMS
                   : [first] "+&r"(*first), [sums] "+&r"(*sums), [even] "=&r"(even),
                     [odd] "=&r"(odd), [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2),
                     [s3] "=&r"(s3)
                   : [end] "r"(end), [factors] "r"(factors), [offsets] "r"(offsets)
                   : "cc", "memory");
}

#undef TFODL_STORE_SUMS
#undef TFODL_ADD_FIRST
#undef TFODL_ADD_PRODUCTS

// One element at a time.
TFODL_INLINE void AddScaledBytes(const int8_t** first, const int8_t** second, const int8_t* end,
                                 uint32_t factors, uint32_t offsets, int32_t** sums) {
  uint32_t a, b;
  int32_t sum;
  __asm__ volatile(
      "1:\n\t"
      "ldrb %[a], [%[first]], #1\n\t"
      "ldrb %[b], [%[second]], #1\n\t"
      "ldr %[sum], [%[sums]]\n\t"
      "sxtab16 %[a], %[offsets], %[a]\n\t"
      "sxtab16 %[b], %[offsets], %[b]\n\t"
      "smlabb %[sum], %[factors], %[a], %[sum]\n\t"
      "smlatb %[sum], %[factors], %[b], %[sum]\n\t"
      "cmp %[first], %[end]\n\t"
      "str %[sum], [%[sums]], #4\n\t"
      "bne 1b"
      : [first] "+&r"(*first), [second] "+&r"(*second), [sums] "+&r"(*sums), [a] "=&r"(a),
        [b] "=&r"(b), [sum] "=&r"(sum)
      : [end] "r"(end), [factors] "r"(factors), [offsets] "r"(offsets)
      : "cc", "memory");
}

#endif  // TFODL_HAS_DSP

}  // namespace

void AddScaled(const RowBlock& block, const int8_t* first, const int8_t* second, uint32_t factors,
               int32_t offset, int32_t* sums) {
#if TFODL_HAS_DSP
  const uint32_t offsets = MakePair(offset, offset);
#endif
  for (uint32_t row = block.rows; row > 0; --row) {
#if TFODL_HAS_DSP
    const int8_t* const end = first + block.count;
    const int8_t* const end_of_words = end - (block.count & 3);
    if (first != end_of_words) {
      if (first != second) {
        AddScaledWords(&first, &second, end_of_words, factors, offsets, &sums);
      } else {
        AddRowWords(&first, end_of_words, factors, offsets, &sums);
        second = first;
      }
    }
    if (first != end) AddScaledBytes(&first, &second, end, factors, offsets, &sums);
#else
    for (uint32_t left = block.count; left > 0; --left) {
      *sums++ += static_cast<int16_t>(factors) * (*first++ + offset) +
                 static_cast<int16_t>(factors >> 16) * (*second++ + offset);
    }
#endif
    first += block.gap;
    second += block.gap;
    sums += block.sums_gap;
  }
}

}  // namespace tfodl
