#include "tfodl/optimize.h"

#include "tfodl/kernels/sparsify.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"

namespace tfodl {
namespace {

constexpr uint32_t kPartBits = 6;
constexpr uint32_t kParts = 1u << kPartBits;
constexpr uint32_t kFirstShift = 19;   // 64 steps of 1/16 octave
constexpr uint32_t kCoarseShift = 25;  // 64 steps of 4 octaves: all there are

// The magnitudes, as bits, among which the k-th largest is: `size` of them from `top` down. All
// larger ones are kept, and `wanted` of these.
struct Range {
  uint32_t top;
  uint32_t size;
  uint32_t wanted;
};

// Narrows the range to one of its 64 parts of 2^shift. Returns whether the k-th largest is in it.
bool Narrow(const float* values, uint32_t count, uint32_t shift, Range* range) {
  int32_t parts[kParts];
  Clear(parts, kParts);
  const uint32_t top = range->top;
  const uint32_t covered = kParts << shift;
  for (const float* const end = values + count; values != end; ++values) {
    const uint32_t below = top - MagnitudeBits(*values);
    if (below < covered) ++parts[below >> shift];
  }
  int32_t left = static_cast<int32_t>(range->wanted);
  for (uint32_t part = 0; part < kParts; ++part) {
    if (parts[part] >= left) {
      range->top = top - (part << shift);
      range->size = parts[part] == left ? 0 : 1u << shift;
      range->wanted = static_cast<uint32_t>(left);
      if (range->size == 0) {  // the whole part is kept
        range->top -= 1u << shift;
        range->wanted = 0;
      }
      return true;
    }
    left -= parts[part];
  }
  return false;
}

Range FindThreshold(const float* values, uint32_t count, uint32_t k, float largest) {
  Range range = {FloatBits(largest), 0, k};
  uint32_t shift = kFirstShift;
  if (!Narrow(values, count, shift, &range)) {
    shift = kCoarseShift;
    Narrow(values, count, shift, &range);
  }
  while (range.size > 1) {
    shift = shift > kPartBits ? shift - kPartBits : 0;
    Narrow(values, count, shift, &range);
  }
  return range;
}

}  // namespace

void KeepLargest(float* values, uint32_t count, uint32_t k, float largest) {
  if (k >= count) return;
  Range threshold = FindThreshold(values, count, k, largest);
  // As signed numbers: the threshold below a part that reaches 0 is negative.
  const int32_t top = static_cast<int32_t>(threshold.top);
  for (const float* const end = values + count; values != end; ++values) {
    const int32_t magnitude = static_cast<int32_t>(MagnitudeBits(*values));
    if (magnitude > top) continue;
    if (magnitude == top && threshold.wanted > 0) {
      --threshold.wanted;
      continue;
    }
    *values = 0.0f;
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
