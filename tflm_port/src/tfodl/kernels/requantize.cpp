#include "tfodl/optimize.h"
#include "tfodl/kernels/requantize.h"

namespace tfodl {
namespace {

// sum * multiplier / 2^31, halves up; multiplier >= 2^30.
TFODL_INLINE int32_t DoublingHigh(int32_t sum, int32_t multiplier) {
#if TFODL_HAS_DSP
  // Twice the multiplier is 2^32 too small as an int32, and MultiplyTop adds the missing sum.
  return MultiplyTop(sum, static_cast<int32_t>(static_cast<uint32_t>(multiplier) << 1), sum);
#else
  return static_cast<int32_t>((static_cast<int64_t>(sum) * multiplier + (1 << 30)) >> 31);
#endif
}

TFODL_INLINE int32_t WrappedSum(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}

// sum * multiplier / 2^(31 + shift) + plus, rounded after the multiplication and, with halves away
// from zero, after a shift to the right: MultiplyByQuantizedMultiplier of
// tensorflow/lite/kernels/internal/common.h.
TFODL_INLINE int32_t Scaled(int32_t sum, const uint8_t* multiplier, int32_t shift, int32_t plus) {
  const int32_t factor = static_cast<int32_t>(LoadWord(multiplier));
  if (shift <= 0) {
    sum = static_cast<int32_t>(static_cast<uint32_t>(sum) << -shift);
    return WrappedSum(DoublingHigh(sum, factor), plus);
  }
  int32_t high = DoublingHigh(sum, factor);
  high += high >> 31;
#if TFODL_HAS_DSP
  return ShiftRounded(high, shift, plus);
#else
  return (((high >> (shift - 1)) + 1) >> 1) + plus;
#endif
}

#if TFODL_HAS_DSP
TFODL_INLINE uint32_t FourTimes(int32_t byte) { return static_cast<uint8_t>(byte) * 0x01010101u; }
#endif

}  // namespace

int8_t Requantizer::One(int32_t sum, uint32_t channel) const {
  if (bias_ != nullptr) sum = WrappedSum(sum, bias_[channel]);
  int32_t y = Scaled(sum, multipliers_ + 4 * channel, shifts_[channel], zero_point_);
  if (y < low_) y = low_;
  if (y > high_) y = high_;
  return static_cast<int8_t>(y);
}

void Requantizer::Four(const int32_t* sums, uint32_t channel, int8_t* y) const {
#if TFODL_HAS_DSP
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  if (bias_ != nullptr) {
    const int32_t* const bias = bias_ + channel;
    a = WrappedSum(a, bias[0]);
    b = WrappedSum(b, bias[1]);
    c = WrappedSum(c, bias[2]);
    d = WrappedSum(d, bias[3]);
  }
  const uint8_t* const multipliers = multipliers_ + 4 * channel;
  const int8_t* const shifts = shifts_ + channel;
  const int32_t plus = zero_point_;
  a = ClipByte(Scaled(a, multipliers, shifts[0], plus));
  b = ClipByte(Scaled(b, multipliers + 4, shifts[1], plus));
  c = ClipByte(Scaled(c, multipliers + 8, shifts[2], plus));
  d = ClipByte(Scaled(d, multipliers + 12, shifts[3], plus));
  const uint32_t even = AddEvenUnsignedBytes(0, PackLowHalves(a, c));
  const uint32_t odd = AddEvenUnsignedBytes(0, PackLowHalves(b, d));
  StoreWord(y, ClampBytes(even | odd << 8, FourTimes(low_), FourTimes(high_)));
#else
  for (uint32_t i = 0; i < 4; ++i) y[i] = One(sums[i], channel + i);
#endif
}

}  // namespace tfodl
