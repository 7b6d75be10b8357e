#include "tfodl/optimize.h"

#include "tfodl/kernels/weight_changes.h"

#include <string.h>

#include "tfodl/dsp.h"
#include "tfodl/random.h"

namespace tfodl {
namespace {

constexpr uint32_t kHalf = kWeightsOfAGroup / 2;
constexpr uint32_t kNegative = 8;
constexpr uint32_t kLast = 7;

// By the code: the size of a change, and from kNegative on the negative ones.
const int8_t kChanges[16] = {0, 2, 4, 8, 12, 18, 26, 38, 0, -2, -4, -8, -12, -18, -26, -38};

TFODL_INLINE uint32_t CodeOf(const int8_t* changes, uint32_t weight) {
  const uint32_t both = static_cast<uint8_t>(changes[weight % kHalf]);
  return weight < kHalf ? both & 15u : both >> 4;
}

TFODL_INLINE int8_t Loaded(int32_t exported, uint32_t code) {
  const int32_t sum = exported + kChanges[code];
  return static_cast<int8_t>(sum < -127 ? -127 : sum > 127 ? 127 : sum);
}

#if TFODL_HAS_DSP

// Four weights; their codes are the low halves of the bytes.
TFODL_INLINE uint32_t LoadFour(uint32_t codes, const int8_t* exported) {
  const uint8_t* const table = reinterpret_cast<const uint8_t*>(kChanges);
  const uint32_t changes = table[codes & 15u] | static_cast<uint32_t>(table[codes >> 8 & 15u]) << 8 |
                           static_cast<uint32_t>(table[codes >> 16 & 15u]) << 16 |
                           static_cast<uint32_t>(table[codes >> 24 & 15u]) << 24;
  constexpr uint32_t kOnes = 0x01010101u;
  const uint32_t sums = AddBytesSaturating(LoadWord(exported), changes);
  return AddBytesSaturating(SubtractBytesSaturating(sums, kOnes), kOnes);  // -128: -127
}

TFODL_INLINE void LoadGroup(const int8_t* changes, const int8_t* exported, int8_t* weights) {
  const uint32_t word = LoadWord(changes);
  StoreWord(weights, LoadFour(word, exported));
  StoreWord(weights + kHalf, LoadFour(word >> 4, exported + kHalf));
}

#else

TFODL_INLINE void LoadGroup(const int8_t* changes, const int8_t* exported, int8_t* weights) {
  for (uint32_t i = 0; i < kWeightsOfAGroup; ++i) {
    weights[i] = Loaded(exported[i], CodeOf(changes, i));
  }
}

#endif

// The code of a change: that below it or above it, with its value as the expectation.
uint32_t Rounded(int32_t change, uint32_t* rng, uint32_t* out_of_bounds) {
  const int32_t size = change < 0 ? -change : change;
  uint32_t code = kLast;
  while (kChanges[code] > size) --code;
  const uint32_t rest = static_cast<uint32_t>(size - kChanges[code]);
  if (rest > 0 && code == kLast) {
    ++*out_of_bounds;
  } else if (rest > 0) {
    const uint32_t gap = static_cast<uint32_t>(kChanges[code + 1] - kChanges[code]);
    if ((NextRandom(rng) >> 16) * gap >> 16 < rest) ++code;
  }
  return change < 0 && code > 0 ? code | kNegative : code;
}

void StoreGroup(const int8_t* weights, const int8_t* exported, int8_t* changes, uint32_t* rng,
                uint32_t* out_of_bounds) {
  int8_t before[kWeightsOfAGroup];
  LoadGroup(changes, exported, before);
  if (memcmp(before, weights, sizeof before) == 0) return;
  for (uint32_t i = 0; i < kWeightsOfAGroup; ++i) {
    if (weights[i] == before[i]) continue;
    const uint32_t code = Rounded(weights[i] - exported[i], rng, out_of_bounds);
    const uint32_t both = static_cast<uint8_t>(changes[i % kHalf]);
    changes[i % kHalf] =
        static_cast<int8_t>(i < kHalf ? (both & 0xf0u) | code : (both & 0x0fu) | code << 4);
  }
}

}  // namespace

void LoadWeights(const int8_t* changes, const int8_t* exported, uint32_t count, int8_t* weights) {
  for (; count >= kWeightsOfAGroup; count -= kWeightsOfAGroup) {
    LoadGroup(changes, exported, weights);
    changes += kHalf;
    exported += kWeightsOfAGroup;
    weights += kWeightsOfAGroup;
  }
  for (uint32_t i = 0; i < count; ++i) weights[i] = Loaded(exported[i], CodeOf(changes, i));
}

uint32_t StoreWeights(const int8_t* weights, const int8_t* exported, uint32_t count,
                      int8_t* changes, uint32_t* rng) {
  uint32_t out_of_bounds = 0;
  for (; count >= kWeightsOfAGroup; count -= kWeightsOfAGroup) {
    StoreGroup(weights, exported, changes, rng, &out_of_bounds);
    changes += kHalf;
    exported += kWeightsOfAGroup;
    weights += kWeightsOfAGroup;
  }
  if (count > 0) {
    int8_t now[kWeightsOfAGroup] = {}, before[kWeightsOfAGroup] = {};
    memcpy(now, weights, count);
    memcpy(before, exported, count);
    StoreGroup(now, before, changes, rng, &out_of_bounds);
  }
  return out_of_bounds;
}

}  // namespace tfodl
