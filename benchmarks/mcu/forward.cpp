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

void Neurons(const int16_t* row, uint32_t fan_in, uint32_t neurons, const int8_t* weights,
             const int32_t* bias, const Rescale& rescale, int8_t* y) {
  for (uint32_t o = 0; o < neurons; o += 2) {
    const uint32_t other = o + 1 < neurons ? o + 1 : o;
    const Sums sums = Dot(row, weights + o * fan_in, weights + other * fan_in, fan_in,
                          {bias[o], bias[other]});
    y[o] = Scaled(sums.first, rescale);
    y[other] = Scaled(sums.second, rescale);
  }
}

}  // namespace

void FullyConnected(uint32_t in_c, uint32_t out_c, const int8_t* x, int32_t x_zero_point,
                    const int8_t* weights, const int32_t* bias, const Rescale& rescale,
                    int16_t* row, int8_t* y) {
  Widen(x, in_c, x_zero_point, row);
  Neurons(row, in_c, out_c, weights, bias, rescale, y);
}

void Conv2D(const Map& map, const int8_t* x, int32_t x_zero_point, const int8_t* weights,
            const int32_t* bias, const Rescale& rescale, int16_t* row, int8_t* y) {
  const uint32_t fan_in = map.kernel * map.kernel * map.in_c;
  const uint32_t run = map.kernel * map.in_c;
  int8_t* const patch = reinterpret_cast<int8_t*>(row + fan_in);
  for (uint32_t oy = 0; oy < map.out_h; ++oy) {
    for (uint32_t ox = 0; ox < map.out_w; ++ox) {
      const uint32_t left = ox * map.stride - map.pad;
      const bool inside = left < map.in_w && left + map.kernel <= map.in_w;
      int8_t* next = patch;
      for (uint32_t ky = 0; ky < map.kernel; ++ky, next += run) {
        const uint32_t iy = oy * map.stride + ky - map.pad;
        const int8_t* const line = x + iy * map.in_w * map.in_c;
        if (iy >= map.in_h) {
          memset(next, x_zero_point, run);
        } else if (inside) {
          memcpy(next, line + left * map.in_c, run);
        } else {
          memset(next, x_zero_point, run);
          for (uint32_t kx = 0; kx < map.kernel; ++kx) {
            if (left + kx < map.in_w) {
              memcpy(next + kx * map.in_c, line + (left + kx) * map.in_c, map.in_c);
            }
          }
        }
      }
      Widen(patch, fan_in, x_zero_point, row);
      Neurons(row, fan_in, map.out_c, weights, bias, rescale, y);
      y += map.out_c;
    }
  }
}

void DepthwiseConv2D(const Map& map, const int8_t* x, int32_t x_zero_point, const int8_t* weights,
                     const int32_t* bias, const Rescale& rescale, int8_t* y) {
  const uint32_t channels = map.in_c;
  for (uint32_t oy = 0; oy < map.out_h; ++oy) {
    for (uint32_t ox = 0; ox < map.out_w; ++ox) {
      for (uint32_t c = 0; c + 4 <= channels; c += 4) {
        int32_t s0 = bias[c], s1 = bias[c + 1], s2 = bias[c + 2], s3 = bias[c + 3];
        for (uint32_t ky = 0; ky < map.kernel; ++ky) {
          const uint32_t iy = oy * map.stride + ky - map.pad;
          if (iy >= map.in_h) continue;
          for (uint32_t kx = 0; kx < map.kernel; ++kx) {
            const uint32_t ix = ox * map.stride + kx - map.pad;
            if (ix >= map.in_w) continue;
            const uint32_t offset = static_cast<uint16_t>(-x_zero_point) * 0x10001u;
            const uint32_t pixels = Word(x + (iy * map.in_w + ix) * channels + c);
            const uint32_t taps = Word(weights + (ky * map.kernel + kx) * channels + c);
            const uint32_t x_even = __sadd16(Even(pixels), offset);
            const uint32_t x_odd = __sadd16(Odd(pixels), offset);
            const uint32_t even = Even(taps), odd = Odd(taps);
            s0 = __smlabb(x_even, even, s0);
            s1 = __smlabb(x_odd, odd, s1);
            s2 = __smlatt(x_even, even, s2);
            s3 = __smlatt(x_odd, odd, s3);
          }
        }
        y[c] = Scaled(s0, rescale);
        y[c + 1] = Scaled(s1, rescale);
        y[c + 2] = Scaled(s2, rescale);
        y[c + 3] = Scaled(s3, rescale);
      }
      y += channels;
    }
  }
}

}  // namespace bench
