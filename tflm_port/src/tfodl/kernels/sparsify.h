// Keeps the k entries largest in magnitude and sets all others to 0. Ties are kept in scan order.
//
// values: `count` finite floats or Bfloat16s, the largest of magnitude `largest`. Exact for every
// input (equal values, zeros, denormals), without memory that grows with `count`. Non-negative
// floats order like their bits, so the k-th largest magnitude is found by counting bits: in 64
// steps of 1/16 octave from the largest on, then in 64 parts of the step it lies in, and so on (256
// bytes of stack). Where few are still wanted, they are put in order while all others are set to 0:
// that is the last pass. Most inputs need 1 or 2 passes before it; 7 at most.
#ifndef TFODL_KERNELS_SPARSIFY_H_
#define TFODL_KERNELS_SPARSIFY_H_

#include <stdint.h>

#include "tfodl/inline.h"
#include "tfodl/kernels/error_type.h"

namespace tfodl {

template <class Error>
void KeepLargest(Error* values, uint32_t count, uint32_t k, float largest);

// The last pass by itself, for those that do something else with what is kept:
//
//   LargestValues<Error> kept(values, count, k, largest);
//   for each value in scan order, where its TwiceMagnitude > kept.floor():
//     kept.Found(list, place, magnitude);  // list[place] is the value; an earlier one may become 0
template <class Error>
class LargestValues {
 public:
  // All that are not zero with k >= count. The values are as before at the end.
  LargestValues(Error* values, uint32_t count, uint32_t k, float largest);

  // Twice a magnitude up to here is not kept. Found may raise it.
  TFODL_INLINE uint32_t floor() const { return floor_; }
  TFODL_INLINE void Found(Error* list, uint32_t place, uint32_t magnitude) {
    if (magnitude <= top_) Keep(list, place, magnitude);
  }

 private:
  static constexpr uint32_t kParts = 64;

  bool Narrow(Error* values, uint32_t count, uint32_t shift);
  bool AreFew(uint32_t count) const;
  void Keep(Error* list, uint32_t place, uint32_t magnitude);

  // The values among which the k-th largest is: all larger ones are kept, and `wanted_` of these.
  uint32_t top_;   // twice their largest magnitude
  uint32_t size_;  // how many magnitudes there are, as bits
  uint32_t wanted_;
  uint32_t found_ = 0;  // of them, at most as many as are wanted; their places are in order
  uint32_t floor_;
  uint32_t parts_[kParts];  // a histogram, then places
};

// clamp(round(fraction * count), 1, count), halves rounded away from zero.
uint32_t CountOfFraction(float fraction, uint32_t count);

}  // namespace tfodl

#endif  // TFODL_KERNELS_SPARSIFY_H_
