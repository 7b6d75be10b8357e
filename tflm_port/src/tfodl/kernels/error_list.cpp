#include "tfodl/kernels/error_list.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"
#include "tfodl/kernels/sparsify.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

constexpr uint32_t kMostPlaces = 1u << 16;
constexpr uint32_t kGap = 0x7fc00000u;  // a NaN, which no error is

bool IsGap(uint32_t bits) { return bits << 1 > 0xff000000u; }

uint32_t Window(const LayerOptions& o) { return o.kernel_h * o.kernel_w; }

uint32_t Count(const LayerOptions& o) { return o.out_h * o.out_w * o.out_c; }

// The list with what lies behind it.
ErrorList ListAt(uint32_t* entries, uint32_t count, uint32_t neurons) {
  ErrorList list = {entries, count, entries + count, entries + 2 * count, nullptr};
  list.room = reinterpret_cast<int32_t*>(list.ends + neurons);
  return list;
}

// Leaves only what is kept, with the lengths of the gaps before. In place; returns the end.
TFODL_FAST uint8_t* PackLargest(float* values, uint32_t count, LargestValues<float>* kept) {
  float* to = values;
  uint32_t next = 0;  // the element behind the last one
  uint32_t floor = kept->floor();
  const float* end = values + count;
  TFODL_OPAQUE(end);
  for (int32_t i = -static_cast<int32_t>(count); i != 0; ++i) {
    TFODL_OPAQUE(i);
    const uint32_t bits = LoadWord(&end[i]);
    if (bits << 1 <= floor) continue;
    TFODL_OPAQUE(i);  // so that nothing of what follows is done for all values
    TFODL_OPAQUE(to);
    const uint32_t place = count + static_cast<uint32_t>(i);
    if (place != next) StoreWord(to++, kGap | (place - next));
    next = place + 1;
    StoreWord(to, bits);
    kept->Found(values, static_cast<uint32_t>(to++ - values));
    floor = kept->floor();
  }
  return reinterpret_cast<uint8_t*>(to);
}

// An int16 that no error is: the number of zeros follows.
constexpr int16_t kZeros = INT16_MIN;

// Leaves out all zeros that follow each other: two numbers take the place of two or more, and the last
// ones are lost. In place; returns how many numbers there are.
uint32_t PackZeros(int16_t* errors, uint32_t count) {
  int16_t* to = errors;
  uint32_t zeros = 0;
  for (const int16_t* const end = errors + count; errors != end; ++errors) {
    const int16_t error = *errors;
    if (__builtin_expect(error == 0, 1)) {
      ++zeros;
      continue;
    }
    if (zeros == 1) *to++ = 0;
    if (zeros > 1) {
      *to++ = kZeros;
      *to++ = static_cast<int16_t>(static_cast<uint16_t>(zeros));
    }
    zeros = 0;
    *to++ = error;
  }
  return static_cast<uint32_t>(to - (errors - count));
}

}  // namespace

template <>
bool IsSparse<float>(const LayerOptions& options, uint32_t non_zero) {
  const uint32_t count = Count(options);
  return count <= kMostPlaces &&
         uint64_t{4} * (non_zero + Window(options)) + options.out_c <= count;
}

// The list with all that lies behind it has to fit, too, where an error is half a word.
template <>
bool IsSparse<Bfloat16>(const LayerOptions& options, uint32_t non_zero) {
  const uint32_t count = Count(options);
  return count <= kMostPlaces && uint64_t{4} * (non_zero + 2 * Window(options)) +
                                         uint64_t{2} * options.out_c <= count;
}

ErrorList ListErrors(const Layer& layer, LayerKind kind, float* delta, uint32_t k, float largest,
                     ErrorUnit* unit) {
  const LayerOptions& o = layer.options;
  const uint32_t all = layer.OutputCount();
  uint8_t* const memory = reinterpret_cast<uint8_t*>(delta);
  LargestValues<float> kept(delta, all, k, largest);
  const uint8_t* const end = PackLargest(delta, all, &kept);
  // Then times q, unless that is 1.
  if (!HasOwnChannels(o, kind)) {
    uint32_t most = 0;  // magnitudes order like their bits
    uint32_t place = 0;
    for (uint8_t* at = memory; at != end; at += sizeof(float)) {
      const uint32_t bits = LoadWord(at);
      if (IsGap(bits)) {
        place += bits ^ kGap;
        continue;
      }
      const float error = FloatFromBits(bits) * layer.WeightScale(place % o.out_c);
      ++place;
      if (MagnitudeBits(error) > most) most = MagnitudeBits(error);
      StoreWord(at, FloatBits(error));
    }
    largest = FloatFromBits(most);
  }
  *unit = MakeErrorUnit(largest, LargestIntegerError(layer, kind));

  uint32_t count = 0;
  uint32_t place = 0;
  for (const uint8_t* from = memory; from != end; from += sizeof(float)) {
    const uint32_t bits = LoadWord(from);
    if (IsGap(bits)) {
      place += bits ^ kGap;
      continue;
    }
    const int32_t error = IntegerError(FloatFromBits(bits), 1.0f, *unit);
    if (error != 0) StoreWord(memory + 4 * count++, MakePair(error, static_cast<int32_t>(place)));
    ++place;
  }
  return ListAt(reinterpret_cast<uint32_t*>(delta), count, o.out_c);
}

// An entry is twice as large as an error, so the errors go to the end of their memory first, with the
// zeros packed: at most three numbers for an entry, of which at most a quarter as many as errors.
ErrorList ListErrors(const Layer& layer, LayerKind kind, Bfloat16* delta, float largest,
                     ErrorUnit* unit) {
  const uint32_t all = layer.OutputCount();
  *unit = ErrorUnitOf(layer, kind, delta, largest);
  if (unit->unit == 0.0f) return ErrorList{};
  ToIntegerErrors(layer, kind, *unit, delta);
  int16_t* const errors = reinterpret_cast<int16_t*>(delta);
  const uint32_t packed = PackZeros(errors, all);
  int16_t* from = errors + all;
  for (uint32_t i = packed; i > 0; --i) *--from = errors[i - 1];

  uint8_t* const memory = reinterpret_cast<uint8_t*>(delta);
  uint32_t count = 0;
  uint32_t place = 0;
  for (const int16_t* const end = errors + all; from != end; ++from) {
    const int16_t error = *from;
    if (error == kZeros) {
      place += static_cast<uint16_t>(*++from);
      continue;
    }
    if (error != 0) StoreWord(memory + 4 * count++, MakePair(error, static_cast<int32_t>(place)));
    ++place;
  }
  return ListAt(reinterpret_cast<uint32_t*>(delta), count, layer.options.out_c);
}

void SortByNeuron(uint32_t neurons, const ErrorList& list) {
  Clear(reinterpret_cast<int32_t*>(list.ends), neurons);
  const uint32_t* const end = list.entries + list.count;
  for (const uint32_t* entry = list.entries; entry != end; ++entry) {
    ++list.ends[PlaceOf(*entry) % neurons];
  }
  uint32_t sum = 0;
  for (uint32_t neuron = 0; neuron < neurons; ++neuron) {
    const uint32_t own = list.ends[neuron];
    list.ends[neuron] = sum;
    sum += own;
  }
  for (const uint32_t* entry = list.entries; entry != end; ++entry) {
    const uint32_t place = PlaceOf(*entry);
    const uint32_t position = place / neurons;
    list.by_neuron[list.ends[place - position * neurons]++] =
        MakePair(ErrorOf(*entry), static_cast<int32_t>(position));
  }
}

NeuronErrors ErrorList::ErrorsOf(uint32_t neuron) const {
  NeuronErrors found = {0, false};
  for (uint32_t i = BeginOf(neuron); i < ends[neuron]; ++i) {
    found.sum += ErrorOf(by_neuron[i]);
    found.any = true;
  }
  return found;
}

}  // namespace tfodl
