#include "tfodl/optimize.h"

#include "tfodl/kernels/sparsify.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"
#include "tfodl/kernels/error_type.h"

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
template <class Error>
bool Narrow(const Error* values, uint32_t count, uint32_t shift, uint32_t* parts, Range* range) {
  Clear(reinterpret_cast<int32_t*>(parts), kParts);
  const uint32_t top = range->top;
  const uint32_t covered = kParts << shift;
  for (const Error* const end = values + count; values != end; ++values) {
    const uint32_t below = top - ErrorMagnitude(*values);
    if (below < covered) ++parts[below >> shift];
  }
  uint32_t left = range->wanted;
  for (uint32_t part = 0; part < kParts; ++part) {
    if (parts[part] >= left) {
      *range = Range{top - (part << shift), 1u << shift, left};
      return true;
    }
    left -= parts[part];
  }
  return false;
}

// Whether it is cheaper to put what is wanted in order than to look at all values once more.
bool AreFew(const Range& range, uint32_t spacing, uint32_t count) {
  return range.size <= spacing || (range.wanted <= kParts && range.wanted * range.wanted <= count);
}

// The largest values of a range that have come, in order: at most as many as are wanted.
struct Kept {
  uint32_t count;
  int32_t floor;  // a magnitude up to here is not kept, as a signed number
};

template <class Error>
TFODL_INLINE int32_t SignedMagnitude(Error value) {
  return static_cast<int32_t>(ErrorMagnitude(value));
}

// Adds the value at `place`, which is above the floor; the last one makes room for it.
template <class Error>
TFODL_NOINLINE void Keep(Error* values, uint32_t place, uint32_t* places, const Range& range,
                         Kept* kept) {
  uint32_t i = kept->count;
  if (i < range.wanted) {
    ++kept->count;
  } else {
    ClearError(&values[places[--i]]);
  }
  if (range.size > MagnitudeSpacing(values)) {  // else they are equal, and more than have places
    const int32_t magnitude = SignedMagnitude(values[place]);
    for (; i > 0 && SignedMagnitude(values[places[i - 1]]) < magnitude; --i) {
      places[i] = places[i - 1];
    }
    places[i] = place;
    place = places[kept->count - 1];
  }
  if (kept->count == range.wanted) kept->floor = SignedMagnitude(values[place]);
}

}  // namespace

template <class Error>
void KeepLargest(Error* values, uint32_t count, uint32_t k, float largest) {
  if (k >= count) return;
  uint32_t parts[kParts];  // a histogram, then places
  Range range = {FloatBits(largest), UINT32_MAX >> 1, k};
  uint32_t shift = kFirstShift + kPartBits;
  while (!AreFew(range, MagnitudeSpacing(values), count)) {
    shift = shift > kPartBits ? shift - kPartBits : 0;
    if (!Narrow(values, count, shift, parts, &range)) {
      shift = kCoarseShift;
      Narrow(values, count, shift, parts, &range);
    }
  }
  // As signed numbers: a range that reaches 0 ends below it. Zeros need not be kept.
  const int32_t top = static_cast<int32_t>(range.top);
  const int32_t bottom = static_cast<int32_t>(range.top - range.size);
  Kept kept = {0, bottom > 0 ? bottom : 0};
  Error* const end = values + count;
  for (Error* value = values; value != end; ++value) {
    const int32_t magnitude = SignedMagnitude(*value);
    if (magnitude <= kept.floor) {
      ClearError(value);
    } else if (magnitude <= top) {
      Keep(values, static_cast<uint32_t>(value - values), parts, range, &kept);
    }
  }
}

template void KeepLargest(float* values, uint32_t count, uint32_t k, float largest);
template void KeepLargest(Bfloat16* values, uint32_t count, uint32_t k, float largest);

uint32_t CountOfFraction(float fraction, uint32_t count) {
  const float exact = fraction * static_cast<float>(count);
  if (exact >= static_cast<float>(count)) return count;
  if (!(exact >= 1.0f)) return 1;
  uint32_t rounded = static_cast<uint32_t>(exact);
  if (exact - static_cast<float>(rounded) >= 0.5f) ++rounded;
  return rounded;
}

}  // namespace tfodl
