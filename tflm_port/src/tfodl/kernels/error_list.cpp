#include "tfodl/kernels/error_list.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"
#include "tfodl/kernels/patch.h"
#include "tfodl/kernels/sparsify.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

constexpr uint32_t kGap = 0x7fc00000u;  // a NaN, which no error is

TFODL_INLINE bool IsGap(uint32_t bits) { return static_cast<int32_t>(bits) > 0x7f800000; }

uint32_t Window(const LayerOptions& o) { return o.kernel_h * o.kernel_w; }

uint32_t Count(const LayerOptions& o) { return o.out_h * o.out_w * o.out_c; }

// The list with what lies behind it.
ErrorList ListAt(uint32_t* entries, uint32_t count, uint32_t neurons) {
  ErrorList list = {entries, count, entries + count, false, entries + 2 * count, nullptr};
  list.room = reinterpret_cast<int32_t*>(list.ends + neurons);
  return list;
}

// Leaves only what is kept, with the lengths of the gaps before. In place; returns the end.
TFODL_FAST uint8_t* PackLargest(float* values, uint32_t count, LargestValues<float>* kept) {
  float* to = values;
  const float* next = values;  // behind the last one
  uint32_t floor = kept->floor();
  float* const last = values + count - 1;
  const uint32_t last_bits = LoadWord(last);
  StoreStop(last);
  const float* at = values;
  for (bool is_last = false; !is_last;) {
    uint32_t bits = NextAbove(floor, &at);
    is_last = at > last;
    if (is_last) {
      bits = last_bits;
      if (bits << 1 <= floor) break;
    }
    if (at - 1 != next) StoreWord(to++, kGap | static_cast<uint32_t>(at - 1 - next));
    next = at;
    StoreWord(to, bits);
    kept->Found(values, static_cast<uint32_t>(to++ - values), bits << 1);
    floor = kept->floor();
  }
  return reinterpret_cast<uint8_t*>(to);
}

// An int16 that no error is: the number of zeros follows.
constexpr int16_t kZeros = INT16_MIN;

// Leaves out all zeros that follow each other: two numbers take the place of two or more, and the
// last ones are lost. In place; returns how many numbers there are.
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

// Whether all windows lie inside the input, and the last one starts at a place.
bool HasOffsets(const LayerOptions& o) {
  const Patch last = PatchOf(o, o.out_h * o.out_w - 1, 0);
  return o.pad_top == 0 && o.pad_left == 0 && last.block.rows == o.kernel_h &&
         last.columns == o.kernel_w && last.pixel < kMostPlaces;
}

}  // namespace

// No sum overflows: see kMaxElements.
template <>
bool IsSparse<float>(const LayerOptions& options, uint32_t non_zero) {
  const uint32_t count = Count(options);
  return count <= kMostPlaces &&
         4 * (non_zero + Window(options)) + options.out_c <= count;
}

// The list with all that lies behind it has to fit, too, where an error is half a word.
template <>
bool IsSparse<Bfloat16>(const LayerOptions& options, uint32_t non_zero) {
  const uint32_t count = Count(options);
  return count <= kMostPlaces &&
         4 * (non_zero + 2 * Window(options)) + 2 * options.out_c <= count;
}

ErrorList ListErrors(const Layer& layer, LayerKind kind, float* delta, uint32_t k, float largest,
                     ErrorUnit* unit) {
  const LayerOptions& o = layer.options;
  const uint32_t all = layer.OutputCount();
  uint8_t* const memory = reinterpret_cast<uint8_t*>(delta);
  LargestValues<float> kept(delta, all, k, largest);
  const uint8_t* const end = PackLargest(delta, all, &kept);
  // Then times q, unless that is 1.
  if (end != memory && !HasOwnChannels(o, kind)) {
    const uint32_t neurons = o.n_scales == 1 ? 1 : o.out_c;
    uint32_t most = 0;  // magnitudes order like their bits
    uint32_t place = 0;
    uint8_t* at = memory;
    do {
      const uint32_t bits = LoadWord(at);
      at += sizeof bits;
      if (IsGap(bits)) {
        place += bits ^ kGap;
        continue;
      }
      const float scale = FloatFromBits(LoadWord(layer.scales + place % neurons * sizeof scale));
      const uint32_t scaled = FloatBits(FloatFromBits(bits) * scale);
      ++place;
      StoreWord(at - sizeof scaled, scaled);
      if (scaled << 1 > most) most = scaled << 1;
    } while (at != end);
    largest = FloatFromBits(most / 2);
  }
  *unit = MakeErrorUnit(largest, LargestIntegerError(layer, kind));

  const ErrorUnit one_unit = *unit;
  uint8_t* to = memory;
  if (end != memory) {
    uint32_t place = 0;
    const uint8_t* from = memory;
    do {
      const uint32_t bits = LoadWord(from);
      from += sizeof bits;
      if (IsGap(bits)) {
        place += bits ^ kGap;
        continue;
      }
      const int32_t error = IntegerError(FloatFromBits(bits), 1.0f, one_unit);
      if (error != 0) {
        StoreWord(to, MakePair(error, static_cast<int32_t>(place)));
        to += sizeof bits;
      }
      ++place;
    } while (from != end);
  }
  const uint32_t count = static_cast<uint32_t>(to - memory) / sizeof(uint32_t);
  return ListAt(reinterpret_cast<uint32_t*>(delta), count, o.out_c);
}

// An entry is twice as large as an error, so the errors go to the end of their memory first, with
// the zeros packed: at most three numbers for an entry, of which at most a quarter as many as
// errors.
ErrorList ListErrors(const Layer& layer, LayerKind kind, Bfloat16* delta, float largest,
                     ErrorUnit* unit) {
  const uint32_t all = layer.OutputCount();
  *unit = ErrorUnitOf(layer, kind, delta, largest);
  if (unit->unit == 0.0f) return ListAt(reinterpret_cast<uint32_t*>(delta), 0, 0);
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

void SortByNeuron(const LayerOptions& o, LayerKind kind, ErrorList* list) {
  const uint32_t neurons = o.out_c;
  uint32_t* const ends = list->ends;
  uint32_t* const by_neuron = list->by_neuron;
  Clear(reinterpret_cast<int32_t*>(ends), neurons);
  if (list->count == 0) return;
  const uint32_t* const end = list->entries + list->count;
  const uint32_t* entry = list->entries;
  do {
    ++ends[PlaceOf(*entry) % neurons];
  } while (++entry != end);
  uint32_t sum = 0;
  for (uint32_t neuron = 0; neuron < neurons; ++neuron) {
    const uint32_t own = ends[neuron];
    ends[neuron] = sum;
    sum += own;
  }
  list->has_offsets = kind == LayerKind::kConv2D && HasOffsets(o);
  const uint32_t step = list->has_offsets ? o.stride_w * o.in_c : 1;
  const uint32_t line = list->has_offsets ? o.stride_h * o.in_w * o.in_c : o.out_w;
  const uint32_t columns = o.out_w;
  entry = list->entries;
  do {
    const uint32_t place = PlaceOf(*entry);
    const uint32_t position = place / neurons;
    const uint32_t y = position / columns;
    by_neuron[ends[place - position * neurons]++] = MakePair(
        ErrorOf(*entry), static_cast<int32_t>(y * line + (position - y * columns) * step));
  } while (++entry != end);
}

NeuronErrors ErrorList::ErrorsOf(uint32_t neuron) const {
  const uint32_t* entry = BeginOf(neuron);
  const uint32_t* const end = EndOf(neuron);
  NeuronErrors found = {0, entry != end};
  if (found.any) {
    int32_t sum = 0;
    do {
      sum += ErrorOf(*entry++);
    } while (entry != end);
    found.sum = sum;
  }
  return found;
}

}  // namespace tfodl
