#include "tfodl/optimize.h"

#include "tfodl/kernels/weight_changes.h"

#include <string.h>

#include "tfodl/bytes.h"
#include "tfodl/dsp.h"
#include "tfodl/random.h"

namespace tfodl {
namespace {

constexpr uint32_t kHalf = kWeightsOfAGroup / 2;
constexpr uint32_t kNegative = 8;
constexpr uint32_t kLast = 7;

// By the code: the size of a change, and from kNegative on the negative ones.
const int8_t kChanges[16] = {0, 2, 4, 8, 12, 18, 26, 38, 0, -2, -4, -8, -12, -18, -26, -38};

// By the size of a change: the code of the largest one that is no larger.
const uint8_t kBelow[38] = {0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5, 5,
                            5, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6};

// The codes of four weights are the upper or lower halves of four bytes.
TFODL_INLINE uint32_t CodeOf(int8_t both, uint32_t shift) {
  return static_cast<uint32_t>(both) >> shift & 15u;
}

TFODL_INLINE int8_t Loaded(int32_t exported, uint32_t code) {
  const int32_t sum = exported + kChanges[code];
  return static_cast<int8_t>(sum < -127 ? -127 : sum > 127 ? 127 : sum);
}

TFODL_INLINE void LoadFour(const int8_t* changes, uint32_t shift, const int8_t* exported,
                           int8_t* weights) {
#if TFODL_HAS_DSP
  constexpr uint32_t kOnes = 0x01010101u;
  const uint8_t* const table = reinterpret_cast<const uint8_t*>(kChanges);
  const uint32_t codes = LoadWord(changes) >> shift;
  uint32_t word = table[codes & 15u];
  word |= static_cast<uint32_t>(table[codes >> 8 & 15u]) << 8;
  word |= static_cast<uint32_t>(table[codes >> 16 & 15u]) << 16;
  word |= static_cast<uint32_t>(table[codes >> 24 & 15u]) << 24;
  word = AddBytesSaturating(LoadWord(exported), word);
  StoreWord(weights, AddBytesSaturating(SubtractBytesSaturating(word, kOnes), kOnes));  // >= -127
#else
  for (uint32_t i = 0; i < kHalf; ++i) weights[i] = Loaded(exported[i], CodeOf(changes[i], shift));
#endif
}

class Storer {
 public:
  explicit Storer(uint32_t rng) : rng_(rng) {}

  TFODL_INLINE void StoreGroup(const int8_t* weights, const int8_t* exported, int8_t* changes) {
    int8_t before[kWeightsOfAGroup];
    LoadFour(changes, 0, exported, before);
    LoadFour(changes, 4, exported + kHalf, before + kHalf);
    if (LoadWord(before) == LoadWord(weights) &&
        LoadWord(before + kHalf) == LoadWord(weights + kHalf)) {
      return;
    }
    uint8_t* const bytes = reinterpret_cast<uint8_t*>(changes);
    uint32_t codes = GetU32(bytes);
    for (uint32_t i = 0; i < kWeightsOfAGroup; ++i) {
      if (weights[i] == before[i]) continue;
      const uint32_t shift = i < kHalf ? 8 * i : 8 * (i - kHalf) + 4;
      codes = (codes & ~(15u << shift)) | Rounded(weights[i] - exported[i]) << shift;
    }
    PutU32(bytes, codes);
  }

  uint32_t rng() const { return rng_; }
  uint32_t out_of_bounds() const { return out_of_bounds_; }

 private:
  // The code of a change: that below it or above it, with its value as the expectation.
  TFODL_INLINE uint32_t Rounded(int32_t change) {
    const int32_t size = change < 0 ? -change : change;
    uint32_t code = size < kChanges[kLast] ? kBelow[size] : kLast;
    const uint32_t rest = static_cast<uint32_t>(size - kChanges[code]);
    if (rest > 0 && code == kLast) {
      ++out_of_bounds_;
    } else if (rest > 0) {
      const uint32_t gap = static_cast<uint32_t>(kChanges[code + 1] - kChanges[code]);
      if ((NextRandom(&rng_) >> 16) * gap >> 16 < rest) ++code;
    }
    return change < 0 && code > 0 ? code | kNegative : code;
  }

  uint32_t rng_;
  uint32_t out_of_bounds_ = 0;
};

}  // namespace

void LoadWeights(const int8_t* changes, const int8_t* exported, uint32_t count, int8_t* weights) {
  for (; count >= kWeightsOfAGroup; count -= kWeightsOfAGroup) {
    LoadFour(changes, 0, exported, weights);
    LoadFour(changes, 4, exported + kHalf, weights + kHalf);
    changes += kHalf;
    exported += kWeightsOfAGroup;
    weights += kWeightsOfAGroup;
  }
  for (uint32_t i = 0; i < count; ++i) {
    weights[i] = Loaded(exported[i], CodeOf(changes[i % kHalf], i < kHalf ? 0 : 4));
  }
}

uint32_t StoreWeights(const int8_t* weights, const int8_t* exported, uint32_t count,
                      int8_t* changes, uint32_t* rng) {
  Storer storer(*rng);
  for (; count >= kWeightsOfAGroup; count -= kWeightsOfAGroup) {
    storer.StoreGroup(weights, exported, changes);
    changes += kHalf;
    exported += kWeightsOfAGroup;
    weights += kWeightsOfAGroup;
  }
  if (count > 0) {
    int8_t now[kWeightsOfAGroup] = {}, before[kWeightsOfAGroup] = {};
    memcpy(now, weights, count);
    memcpy(before, exported, count);
    storer.StoreGroup(now, before, changes);
  }
  *rng = storer.rng();
  return storer.out_of_bounds();
}

}  // namespace tfodl
