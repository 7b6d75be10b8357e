#pragma GCC optimize("O2")
#include "forward.h"

#include <arm_acle.h>
#include <string.h>

namespace bench {
namespace {

uint32_t Word(const void* bytes) {
  uint32_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

// Bytes 0 and 2, and 1 and 3, sign-extended to 16 bits.
int16x2_t Even(uint32_t word) { return __sxtb16(word); }
int16x2_t Odd(uint32_t word) { return __sxtb16(word >> 8 | word << 24); }

int8_t Scaled(int32_t sum, const Rescale& rescale) {
  const int64_t product = static_cast<int64_t>(sum) * rescale.multiplier + (int64_t{1} << 31);
  int32_t value = static_cast<int32_t>(product >> 32) + rescale.zero_point;
  if (value < rescale.low) value = rescale.low;
  if (value > rescale.high) value = rescale.high;
  return static_cast<int8_t>(value);
}

// x - zero point as int16, four at a time in the order 0, 2, 1, 3 that SXTB16 gives.
void Widen(const int8_t* x, uint32_t count, int32_t zero_point, int16_t* row) {
  const uint32_t offset = static_cast<uint16_t>(-zero_point) * 0x10001u;
  uint32_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const uint32_t word = Word(x + i);
    const uint32_t even = __sadd16(Even(word), offset);
    const uint32_t odd = __sadd16(Odd(word), offset);
    memcpy(row + i, &even, sizeof even);
    memcpy(row + i + 2, &odd, sizeof odd);
  }
  for (; i < count; ++i) row[i] = static_cast<int16_t>(x[i] - zero_point);
}

struct Sums {
  int32_t first, second;
};

// Two rows of weights times one widened row.
Sums Dot(const int16_t* row, const int8_t* first, const int8_t* second, uint32_t count, Sums sums) {
  const int16_t* const end = row + count / 4 * 4;
  while (row < end) {
    const uint32_t x_even = Word(row), x_odd = Word(row + 2);
    const uint32_t a = Word(first), b = Word(second);
    sums.first = __smlad(Even(a), x_even, sums.first);
    sums.first = __smlad(Odd(a), x_odd, sums.first);
    sums.second = __smlad(Even(b), x_even, sums.second);
    sums.second = __smlad(Odd(b), x_odd, sums.second);
    row += 4;
    first += 4;
    second += 4;
  }
  for (count %= 4; count > 0; --count) {
    sums.first += *row * *first++;
    sums.second += *row++ * *second++;
  }
  return sums;
}

}  // namespace

void FullyConnected(uint32_t in_c, uint32_t out_c, const int8_t* x, int32_t x_zero_point,
                    const int8_t* weights, const int32_t* bias, const Rescale& rescale,
                    int16_t* row, int8_t* y) {
  Widen(x, in_c, x_zero_point, row);
  for (uint32_t o = 0; o < out_c; o += 2) {
    const uint32_t other = o + 1 < out_c ? o + 1 : o;
    const Sums sums =
        Dot(row, weights + o * in_c, weights + other * in_c, in_c, {bias[o], bias[other]});
    y[o] = Scaled(sums.first, rescale);
    y[other] = Scaled(sums.second, rescale);
  }
}

}  // namespace bench
