// Random numbers for the tests, the same on every machine. Needs no C++ library.
#ifndef TFODL_TESTS_RANDOM_NUMBERS_H_
#define TFODL_TESTS_RANDOM_NUMBERS_H_

#include <stdint.h>

#include "tfodl/float_math.h"
#include "tfodl/random.h"

namespace tfodl {
namespace test {

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 2654435761u | 1u) {}

  uint32_t Bits() { return NextRandom(&state_); }
  // In [low, high].
  int32_t Int(int32_t low, int32_t high) {
    return low + static_cast<int32_t>((Bits() >> 8) % static_cast<uint32_t>(high - low + 1));
  }
  uint32_t Size(uint32_t low, uint32_t high) {
    return static_cast<uint32_t>(Int(static_cast<int32_t>(low), static_cast<int32_t>(high)));
  }
  bool Chance(int32_t percent) { return Int(0, 99) < percent; }
  float Float(float low, float high) { return low + (high - low) * NextUniform(&state_); }
  int8_t Int8() { return static_cast<int8_t>(Int(-128, 127)); }
  // Any bit pattern: denormals, infinities and NaN too.
  float AnyFloat() { return FloatFromBits(Bits() ^ (Bits() << 7)); }

 private:
  uint32_t state_;
};

}  // namespace test
}  // namespace tfodl

#endif  // TFODL_TESTS_RANDOM_NUMBERS_H_
