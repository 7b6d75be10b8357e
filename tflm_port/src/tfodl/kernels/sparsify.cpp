#include "tfodl/kernels/sparsify.h"

#include "tfodl/float_math.h"

namespace tfodl {
namespace {

constexpr uint32_t kDigitBits = 6;
constexpr uint32_t kDigits = 1u << kDigitBits;

// The entries to keep: all whose prefix is larger, and the first `ties` whose prefix is equal.
// A prefix is the magnitude bits under `mask`.
struct Threshold {
  uint32_t mask;
  uint32_t prefix;
  uint32_t ties;
};

Threshold FindThreshold(const float* values, uint32_t count, uint32_t k) {
  Threshold found = {0, 0, k};
  uint32_t undecided = 31;  // magnitude bits that are not in the mask yet
  while (undecided > 0) {
    const uint32_t bits = undecided < kDigitBits ? undecided : kDigitBits;
    undecided -= bits;
    const uint32_t digit_mask = (1u << bits) - 1;
    uint32_t histogram[kDigits] = {};
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t magnitude = MagnitudeBits(values[i]);
      if ((magnitude & found.mask) == found.prefix) {
        ++histogram[(magnitude >> undecided) & digit_mask];
      }
    }
    uint32_t digit = digit_mask;
    while (histogram[digit] < found.ties) {
      found.ties -= histogram[digit];
      --digit;
    }
    found.mask |= digit_mask << undecided;
    found.prefix |= digit << undecided;
    if (histogram[digit] == found.ties) break;  // the whole group is kept
  }
  return found;
}

}  // namespace

void KeepLargest(float* values, uint32_t count, uint32_t k) {
  if (k >= count) return;
  Threshold threshold = FindThreshold(values, count, k);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t prefix = MagnitudeBits(values[i]) & threshold.mask;
    if (prefix > threshold.prefix) continue;
    if (prefix == threshold.prefix && threshold.ties > 0) {
      --threshold.ties;
      continue;
    }
    values[i] = 0.0f;
  }
}

uint32_t CountOfFraction(float fraction, uint32_t count) {
  const float exact = fraction * static_cast<float>(count);
  if (exact >= static_cast<float>(count)) return count;
  if (!(exact >= 1.0f)) return 1;
  uint32_t rounded = static_cast<uint32_t>(exact);
  if (exact - static_cast<float>(rounded) >= 0.5f) ++rounded;
  return rounded;
}

}  // namespace tfodl
