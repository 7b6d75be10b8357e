#include "tfodl/optimize.h"

#include "tfodl/kernels/weight_changes.h"

#include <string.h>

#include "tfodl/dsp.h"

namespace tfodl {
namespace {

constexpr uint32_t kHalf = kWeightsOfAGroup / 2;
constexpr int32_t kLargest = 7;

#if TFODL_HAS_DSP

constexpr uint32_t kLowHalves = 0x0f0f0f0fu;
constexpr uint32_t kSigns = 0x08080808u;
constexpr uint32_t kAllLargest = 0x07070707u;
constexpr uint32_t kAllSmallest = 0xf9f9f9f9u;

// Four weights; their changes are the low halves of the bytes.
TFODL_INLINE void LoadFour(uint32_t changes, const int8_t* exported, int8_t* weights) {
  const uint32_t negated = SubtractBytes(kSigns, (changes & kLowHalves) ^ kSigns);
  StoreWord(weights, SubtractBytes(LoadWord(exported), negated));
}

TFODL_INLINE void LoadGroup(const int8_t* changes, const int8_t* exported, int8_t* weights) {
  const uint32_t word = LoadWord(changes);
  LoadFour(word, exported, weights);
  LoadFour(word >> 4, exported + kHalf, weights + kHalf);
}

TFODL_INLINE uint32_t ChangesOfFour(const int8_t* weights, const int8_t* exported,
                                    uint32_t* out_of_bounds) {
  const uint32_t exact = SubtractBytesSaturating(LoadWord(weights), LoadWord(exported));
  const uint32_t changes = ClampBytes(exact, kAllSmallest, kAllLargest);
  for (uint32_t other = exact ^ changes; other != 0; other >>= 8) {
    *out_of_bounds += (other & 0xffu) != 0;
  }
  return changes & kLowHalves;
}

TFODL_INLINE void StoreGroup(const int8_t* weights, const int8_t* exported, int8_t* changes,
                             uint32_t* out_of_bounds) {
  const uint32_t low = ChangesOfFour(weights, exported, out_of_bounds);
  const uint32_t high = ChangesOfFour(weights + kHalf, exported + kHalf, out_of_bounds);
  StoreWord(changes, low | high << 4);
}

#else

int32_t SignExtended(uint32_t half) { return static_cast<int32_t>(half ^ 8u) - 8; }

void LoadGroup(const int8_t* changes, const int8_t* exported, int8_t* weights) {
  for (uint32_t i = 0; i < kHalf; ++i) {
    const uint32_t both = static_cast<uint8_t>(changes[i]);
    weights[i] = static_cast<int8_t>(exported[i] + SignExtended(both & 15u));
    weights[i + kHalf] = static_cast<int8_t>(exported[i + kHalf] + SignExtended(both >> 4));
  }
}

uint32_t ChangeOf(int32_t weight, int32_t exported, uint32_t* out_of_bounds) {
  const int32_t exact = weight - exported;
  const int32_t change = exact < -kLargest ? -kLargest : exact > kLargest ? kLargest : exact;
  *out_of_bounds += change != exact;
  return static_cast<uint32_t>(change) & 15u;
}

void StoreGroup(const int8_t* weights, const int8_t* exported, int8_t* changes,
                uint32_t* out_of_bounds) {
  for (uint32_t i = 0; i < kHalf; ++i) {
    const uint32_t low = ChangeOf(weights[i], exported[i], out_of_bounds);
    const uint32_t high = ChangeOf(weights[i + kHalf], exported[i + kHalf], out_of_bounds);
    changes[i] = static_cast<int8_t>(low | high << 4);
  }
}

#endif

}  // namespace

void LoadWeights(const int8_t* changes, const int8_t* exported, uint32_t count, int8_t* weights) {
  for (; count >= kWeightsOfAGroup; count -= kWeightsOfAGroup) {
    LoadGroup(changes, exported, weights);
    changes += kHalf;
    exported += kWeightsOfAGroup;
    weights += kWeightsOfAGroup;
  }
  if (count == 0) return;
  int8_t filled[kWeightsOfAGroup] = {};
  memcpy(filled, exported, count);
  LoadGroup(changes, filled, filled);
  memcpy(weights, filled, count);
}

uint32_t StoreWeights(const int8_t* weights, const int8_t* exported, uint32_t count,
                      int8_t* changes) {
  uint32_t out_of_bounds = 0;
  for (; count >= kWeightsOfAGroup; count -= kWeightsOfAGroup) {
    StoreGroup(weights, exported, changes, &out_of_bounds);
    changes += kHalf;
    exported += kWeightsOfAGroup;
    weights += kWeightsOfAGroup;
  }
  if (count > 0) {
    int8_t now[kWeightsOfAGroup] = {}, before[kWeightsOfAGroup] = {};
    memcpy(now, weights, count);
    memcpy(before, exported, count);
    StoreGroup(now, before, changes, &out_of_bounds);
  }
  return out_of_bounds;
}

}  // namespace tfodl
