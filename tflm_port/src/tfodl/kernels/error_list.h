// The integer errors of a sparse layer (integer_error.h) as a list of those that are not 0, so that
// the backward pass costs what they cost.
//
// An entry is a word: where it is, in the high half, and e. The list takes the place of the error,
// in scan order (NHWC); behind it lies the same list ordered by neuron, with the end of each
// neuron's part, and then room for a kernel of four neurons.
#ifndef TFODL_KERNELS_ERROR_LIST_H_
#define TFODL_KERNELS_ERROR_LIST_H_

#include <stdint.h>

#include "tfodl/dsp.h"
#include "tfodl/inline.h"
#include "tfodl/kernels/error_type.h"
#include "tfodl/kernels/integer_error.h"
#include "tfodl/options.h"

namespace tfodl {

// The errors of a neuron over all positions.
struct NeuronErrors {
  int32_t sum;
  bool any;  // not zero
};

struct ErrorList {
  uint32_t* entries;    // null when the errors are an array instead
  uint32_t count;
  uint32_t* by_neuron;  // `count` entries, after SortByNeuron
  bool has_offsets;     // whether their places are offsets
  uint32_t* ends;       // of the neurons' parts in by_neuron
  int32_t* room;        // 4 * kernel_h * kernel_w

  const uint32_t* BeginOf(uint32_t neuron) const {
    return neuron == 0 ? by_neuron : EndOf(neuron - 1);
  }
  const uint32_t* EndOf(uint32_t neuron) const { return by_neuron + ends[neuron]; }
  NeuronErrors ErrorsOf(uint32_t neuron) const;
};

constexpr uint32_t kMostPlaces = 1u << 16;

TFODL_INLINE uint32_t PlaceOf(uint32_t entry) { return entry >> 16; }

TFODL_INLINE int32_t ErrorOf(uint32_t entry) { return static_cast<int16_t>(entry & 0xffffu); }

// sum + e * byte.
TFODL_INLINE int32_t AddErrorTimes(uint32_t entry, int32_t byte, int32_t sum) {
#if TFODL_HAS_DSP
  return MultiplyLowLow(entry, static_cast<uint32_t>(byte), sum);
#else
  return sum + ErrorOf(entry) * byte;
#endif
}

// Whether a list is the better form: at most a quarter of the errors is not 0.
template <class Error>
bool IsSparse(const LayerOptions& options, uint32_t non_zero);
template <>
bool IsSparse<float>(const LayerOptions& options, uint32_t non_zero);
template <>
bool IsSparse<Bfloat16>(const LayerOptions& options, uint32_t non_zero);

// Replaces delta, of which IsSparse says that it is sparse, by the list. Places are elements of the
// output. largest: max |delta|. `unit` becomes that of ErrorUnitOf; the list means nothing where it
// is 0. Of floats only the k largest are listed, all with k = the number of elements; IsSparse is
// asked for those.
ErrorList ListErrors(const Layer& layer, LayerKind kind, float* delta, uint32_t k, float largest,
                     ErrorUnit* unit);
ErrorList ListErrors(const Layer& layer, LayerKind kind, Bfloat16* delta, float largest,
                     ErrorUnit* unit);

// Fills by_neuron and ends. Places in by_neuron are positions, elements of the output without the
// channel; of a convolution whose windows all lie inside the input, offsets: the input elements
// they start with.
void SortByNeuron(const LayerOptions& options, LayerKind kind, ErrorList* list);

}  // namespace tfodl

#endif  // TFODL_KERNELS_ERROR_LIST_H_
