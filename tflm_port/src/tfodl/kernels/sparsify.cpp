#include "tfodl/optimize.h"

#include "tfodl/kernels/sparsify.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"

namespace tfodl {
namespace {

constexpr uint32_t kPartBits = 6;
constexpr uint32_t kFirstShift = 19;   // 64 steps of 1/16 octave
constexpr uint32_t kCoarseShift = 25;  // 64 steps of 4 octaves: all there are

}  // namespace

// Narrows the range to one of its 64 parts of 2^shift. Returns whether the k-th largest is in it.
template <class Error>
TFODL_COLD bool LargestValues<Error>::Narrow(Error* values, uint32_t count, uint32_t shift) {
  ++shift;  // of twice the magnitude
  Clear(reinterpret_cast<int32_t*>(parts_), kParts);
  const uint32_t top = top_;
  const uint32_t below = top >> shift < kParts ? 0 : top - (kParts << shift);
  // The last value comes first, as its place is taken by what stops the others.
  Error* const last = values + count - 1;
  const Error last_value = *last;
  StoreStop(last);
  const Error* next = values;
  uint32_t* parts = parts_;
  TFODL_OPAQUE(parts);
  uint32_t bits = ErrorBits(last_value);
  do {
    const uint32_t part = (top - (bits << 1)) >> shift;
    if (part < kParts) ++parts[part];
    bits = NextAbove(below, &next);
  } while (next <= last);
  *last = last_value;
  uint32_t left = wanted_;
  for (uint32_t part = 0; part < kParts; ++part) {
    if (parts_[part] >= left) {
      top_ = top - (part << shift);
      size_ = 1u << (shift - 1);
      wanted_ = left;
      return true;
    }
    left -= parts_[part];
  }
  return false;
}

// Whether it is cheaper to put what is wanted in order than to look at all values once more.
template <class Error>
bool LargestValues<Error>::AreFew(uint32_t count) const {
  return size_ <= MagnitudeSpacing(static_cast<Error*>(nullptr)) ||
         (wanted_ <= kParts && wanted_ * wanted_ <= count);
}

template <class Error>
TFODL_COLD LargestValues<Error>::LargestValues(Error* values, uint32_t count, uint32_t k,
                                               float largest)
    : top_(0), size_(UINT32_MAX >> 1), wanted_(k), floor_(0) {
  if (k >= count) return;
  top_ = 2 * FloatBits(largest);
  uint32_t shift = kFirstShift;
  while (!AreFew(count)) {
    if (Narrow(values, count, shift)) {
      shift = shift > kPartBits ? shift - kPartBits : 0;
    } else if (shift != kCoarseShift) {
      shift = kCoarseShift;
    } else {
      top_ = 0;  // fewer than k are not zero
      return;
    }
  }
  // A range that reaches 0 ends below it. Zeros need not be kept.
  if (top_ / 2 > size_) floor_ = top_ - 2 * size_;
}

// Adds a value above the floor; the last one makes room for it.
template <class Error>
TFODL_COLD void LargestValues<Error>::Keep(Error* list, uint32_t place, uint32_t magnitude) {
  uint32_t found = found_;
  uint32_t i = found;
  if (found < wanted_) {
    found_ = ++found;
  } else {
    ClearError(&list[parts_[--i]]);
  }
  if (size_ > MagnitudeSpacing(list)) {  // else they are equal, and more than have places
    for (; i > 0 && TwiceMagnitude(list[parts_[i - 1]]) < magnitude; --i) {
      parts_[i] = parts_[i - 1];
    }
    parts_[i] = place;
    magnitude = TwiceMagnitude(list[parts_[found - 1]]);
  }
  if (found == wanted_) floor_ = magnitude;
}

template class LargestValues<float>;
template class LargestValues<Bfloat16>;

// The first one of the largest magnitude, which is known.
template <class Error>
TFODL_COLD void KeepOne(Error* values, uint32_t count, float largest) {
  Error* first = values;
  while (ErrorMagnitude(*first) != FloatBits(largest)) ++first;
  const Error kept = *first;
  Error* end = values + count;
  do {
    ClearError(--end);
  } while (end != values);
  *first = kept;
}

// The last pass. On its own, as what always calls a cold function is made small, too.
template <class Error>
TFODL_HOT void ClearOthers(Error* values, uint32_t count, LargestValues<Error>* kept) {
  uint32_t floor = kept->floor();
  Error* end = values + count;
  TFODL_OPAQUE(end);
  for (int32_t i = -static_cast<int32_t>(count); i != 0; ++i) {
    TFODL_OPAQUE(i);
    if (TwiceMagnitude(end[i]) <= floor) {
      ClearError(&end[i]);
      continue;
    }
    TFODL_OPAQUE(i);  // so that nothing is kept for these few
    kept->Found(values, count + static_cast<uint32_t>(i), TwiceMagnitude(end[i]));
    floor = kept->floor();
  }
}

template <class Error>
void KeepLargest(Error* values, uint32_t count, uint32_t k, float largest) {
  if (k >= count) return;
  if (k == 1) return KeepOne(values, count, largest);
  LargestValues<Error> kept(values, count, k, largest);
  ClearOthers(values, count, &kept);
}

template void KeepLargest(float* values, uint32_t count, uint32_t k, float largest);
template void KeepLargest(Bfloat16* values, uint32_t count, uint32_t k, float largest);

TFODL_COLD uint32_t CountOfFraction(float fraction, uint32_t count) {
  const float exact = fraction * static_cast<float>(count);
  if (exact >= static_cast<float>(count)) return count;
  if (!(exact >= 1.0f)) return 1;
  return (static_cast<uint32_t>(2.0f * exact) + 1) / 2;
}

}  // namespace tfodl
