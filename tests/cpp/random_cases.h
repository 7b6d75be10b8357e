// Random layers, pools and option blobs, the same on every machine.
#ifndef TFODL_TESTS_RANDOM_CASES_H_
#define TFODL_TESTS_RANDOM_CASES_H_

#include <stdint.h>
#include <string.h>

#include <vector>

#include "random_numbers.h"
#include "tfodl/conv_options.h"
#include "tfodl/fully_connected_options.h"
#include "tfodl/float_math.h"
#include "tfodl/options.h"
#include "tfodl/state.h"

namespace tfodl {
namespace test {

struct Axis {
  uint32_t in, out, window, stride, pad;
};

// As TensorFlow's SAME or VALID padding.
inline Axis RandomAxis(Random* random, uint32_t window) {
  Axis axis;
  axis.window = window;
  axis.stride = random->Size(1, 3);
  axis.in = axis.window + random->Size(0, 5);
  if (random->Chance(50)) {
    axis.out = (axis.in - axis.window) / axis.stride + 1;
    axis.pad = 0;
  } else {
    axis.out = (axis.in + axis.stride - 1) / axis.stride;
    const int32_t total = static_cast<int32_t>((axis.out - 1) * axis.stride + axis.window) -
                          static_cast<int32_t>(axis.in);
    axis.pad = total > 0 ? static_cast<uint32_t>(total) / 2 : 0;
  }
  return axis;
}

inline Axis RandomAxis(Random* random) { return RandomAxis(random, random->Size(1, 4)); }

inline void RandomActivation(Random* random, int32_t* low, int32_t* high) {
  static const int32_t kRanges[][2] = {{-129, 128}, {-128, 128}, {-128, 127}, {-20, 41}};
  const int32_t* range = kRanges[random->Int(0, 3)];
  *low = range[0];
  *high = range[1];
}

inline LayerOptions RandomLayerOptions(Random* random, LayerKind kind) {
  const bool dense = kind == LayerKind::kFullyConnected;
  const Axis point = {1, 1, 1, 1, 0};
  const Axis rows = dense ? point : RandomAxis(random);
  const Axis columns = dense ? point : RandomAxis(random);
  LayerOptions o;
  memset(&o, 0, sizeof o);
  o.abi_version = kAbiVersion;
  o.flags = random->Size(1, 7);
  static const uint32_t kMasks[] = {0, kMasked, kVariableMask};
  o.flags |= kMasks[random->Int(0, 2)];
  if ((o.flags & kUpdateWeights) != 0 && random->Chance(50)) o.flags |= kResidual;
  if ((o.flags & (kResidual | kVariableMask)) == 0 && random->Chance(50)) o.flags |= kAccumulate;
  o.layer = random->Size(0, 3);
  o.in_h = rows.in;
  o.out_h = rows.out;
  o.kernel_h = rows.window;
  o.stride_h = rows.stride;
  o.pad_top = rows.pad;
  o.in_w = columns.in;
  o.out_w = columns.out;
  o.kernel_w = columns.window;
  o.stride_w = columns.stride;
  o.pad_left = columns.pad;
  o.in_c = random->Size(1, 5);
  o.out_c = kind == LayerKind::kDepthwiseConv2D ? o.in_c * random->Size(1, 3) : random->Size(1, 9);
  o.x_scale = random->Float(0.001f, 0.5f);
  o.x_zero_point = random->Int(-128, 127);
  RandomActivation(random, &o.act_min, &o.act_max);
  o.sparsifier = random->Size(0, 2);
  o.s_min = random->Float(0.0f, 1.0f);
  o.s_max = random->Float(0.0f, 2.0f);
  o.damping = random->Float(0.0f, 1.5f);
  o.n_scales = random->Chance(50) ? 1 : o.out_c;
  return o;
}

inline ConvOptions RandomConvOptions(Random* random, LayerKind kind) {
  // 3x3 of one channel is computed in a way of its own, and so is what has no bounds but int8's.
  // Of 3x1 of three channels a window has rows of as many bytes.
  const bool are_nine = random->Chance(20);
  const uint32_t width = random->Chance(70) ? 3 : 1;
  const Axis rows = are_nine ? RandomAxis(random, 3) : RandomAxis(random);
  const Axis columns = are_nine ? RandomAxis(random, width) : RandomAxis(random);
  const uint32_t in_c = are_nine ? 3 / width : random->Chance(20) ? 1 : random->Size(1, 13);
  const bool depthwise = kind == LayerKind::kDepthwiseConv2D;
  const uint32_t out_c = depthwise ? in_c * random->Size(1, 2) : random->Size(1, 11);
  const uint32_t first = random->Chance(30) ? random->Size(0, 5) : 0;
  const uint32_t y_c = first + out_c + (random->Chance(30) ? random->Size(0, 5) : 0);
  const bool is_bounded = random->Chance(50);
  const int32_t low = is_bounded ? random->Int(-128, 0) : -128;
  const int32_t high = is_bounded ? random->Int(0, 127) : 127;
  return ConvOptions{kAbiVersion,
                     rows.in,
                     columns.in,
                     in_c,
                     rows.out,
                     columns.out,
                     out_c,
                     rows.window,
                     columns.window,
                     rows.stride,
                     columns.stride,
                     rows.pad,
                     columns.pad,
                     y_c,
                     first,
                     random->Int(-128, 127),
                     random->Int(-128, 127),
                     low,
                     high};
}

inline FullyConnectedOptions RandomFullyConnectedOptions(Random* random) {
  const uint32_t out_c = random->Size(1, 11);
  const bool is_bounded = random->Chance(50);
  return FullyConnectedOptions{kAbiVersion,
                               random->Chance(70) ? 1 : random->Size(2, 4),
                               random->Size(1, 41),
                               out_c,
                               random->Int(-128, 127),
                               random->Int(-128, 127),
                               is_bounded ? random->Int(-128, 0) : -128,
                               is_bounded ? random->Int(0, 127) : 127,
                               random->Chance(70) ? 1 : out_c};
}

inline PoolOptions RandomPoolOptions(Random* random) {
  const Axis rows = RandomAxis(random);
  const Axis columns = RandomAxis(random);
  PoolOptions o;
  memset(&o, 0, sizeof o);
  o.abi_version = kAbiVersion;
  o.in_h = rows.in;
  o.out_h = rows.out;
  o.filter_h = rows.window;
  o.stride_h = rows.stride;
  o.pad_top = rows.pad;
  o.in_w = columns.in;
  o.out_w = columns.out;
  o.filter_w = columns.window;
  o.stride_w = columns.stride;
  o.pad_left = columns.pad;
  o.in_c = random->Size(1, 5);
  RandomActivation(random, &o.act_min, &o.act_max);
  return o;
}

inline XentOptions RandomXentOptions(Random* random) {
  return XentOptions{kAbiVersion,
                     random->Chance(5) ? 3e38f : random->Float(0.001f, 0.5f),
                     {random->Size(0, 1), random->Float(0.0f, 0.5f), random->Float(0.5f, 1.0f),
                      random->Float(0.0f, 2.0f), random->Float(0.0f, 1.0f)}};
}

inline SeedOptions RandomSeedOptions(Random* random, uint32_t n_variables,
                                     uint32_t n_masks = 0) {
  return SeedOptions{kAbiVersion, random->Bits(), random->Bits(), random->Float(0.0f, 1.0f),
                     n_variables, n_masks};
}

// A blob in memory of exactly its size, so that a read behind its end is found.
using Blob = std::vector<uint8_t>;

template <class Options>
Blob Pack(const Options& options) {
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(&options);
  return Blob(bytes, bytes + sizeof options);
}

template <class Options>
void Append(Blob* blob, const Options& options) {
  const Blob more = Pack(options);
  blob->insert(blob->end(), more.begin(), more.end());
}

// With the table of exponentials behind the options.
inline Blob PackXent(const XentOptions& options) {
  Blob blob = Pack(options);
  for (int32_t q = -128; q < 128; ++q) {
    const float entry = ExpOfNonPositive(options.logits_scale * static_cast<float>(q - 127));
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(&entry);
    blob.insert(blob.end(), bytes, bytes + sizeof entry);
  }
  return Blob(blob);  // without spare capacity
}

// With random scales and a random mask, or where it starts, behind the options.
inline Blob PackLayer(Random* random, const LayerOptions& options, uint32_t mask_offset = 0) {
  Blob blob = Pack(options);
  for (uint32_t i = 0; i < options.n_scales; ++i) {
    Append(&blob, random->Float(0.001f, 0.1f));
  }
  if ((options.flags & kVariableMask) != 0) Append(&blob, mask_offset);
  if ((options.flags & kMasked) != 0) {
    for (uint32_t i = 0; i < (options.out_c + 7) / 8; ++i) {
      const uint8_t bits = static_cast<uint8_t>(random->Int(0, 255));
      blob.push_back(i == 0 ? bits | 1 : bits);  // one neuron at least
    }
  }
  return Blob(blob);  // without spare capacity
}

// With random multipliers and shifts behind the options, mostly such that outputs fill int8.
// Options of a forward op with so many scales.
template <class Options>
Blob PackWithScales(Random* random, const Options& options, uint32_t scales) {
  Blob blob = Pack(options);
  for (uint32_t i = 0; i < scales; ++i) Append(&blob, 1u << 30 | random->Bits() >> 2);
  for (uint32_t i = 0; i < scales; ++i) {
    const int32_t shift = random->Chance(80) ? random->Int(4, 10) : random->Int(-30, 31);
    blob.push_back(static_cast<uint8_t>(shift));
  }
  return Blob(blob);  // without spare capacity
}

inline Blob PackConv(Random* random, const ConvOptions& options) {
  return PackWithScales(random, options, options.out_c);
}

inline Blob PackFullyConnected(Random* random, const FullyConnectedOptions& options) {
  return PackWithScales(random, options, options.n_scales);
}

// Another length, random bytes, or a word replaced by a number that is likely to hurt.
inline Blob Corrupt(Random* random, Blob blob) {
  static const uint32_t kNasty[] = {0,          1,          2,          3,          7,
                                    0x7fffffff, 0x80000000, 0xffffffff, 0x00100000, 0x00100001,
                                    0x10000000, 0x7f800000, 0x7fc00000, 0xff800000, 0x00000001};
  const uint32_t size = static_cast<uint32_t>(blob.size());
  switch (random->Int(0, 4)) {
    case 0:
      blob.resize(random->Size(0, size));
      break;
    case 1:
      blob.resize(size + random->Size(1, 40), 0x5a);
      break;
    case 2:
      for (int32_t i = random->Int(1, 4); i > 0; --i) {
        blob[random->Size(0, size - 1)] = static_cast<uint8_t>(random->Int(0, 255));
      }
      break;
    case 3:
      for (int32_t i = random->Int(1, 3); i > 0; --i) {
        const uint32_t word = kNasty[random->Int(0, 14)];
        memcpy(&blob[4 * random->Size(0, size / 4 - 1)], &word, sizeof word);
      }
      break;
    default:  // small numbers, which often pass as extents
      for (int32_t i = random->Int(1, 3); i > 0; --i) {
        const uint32_t word = random->Size(0, 12);
        memcpy(&blob[4 * random->Size(0, size / 4 - 1)], &word, sizeof word);
      }
  }
  return Blob(blob);
}

// An output error: mostly numbers, often with zeros, sometimes with anything at all.
inline std::vector<float> RandomError(Random* random, uint32_t count) {
  std::vector<float> error(count);
  const int32_t zeros = random->Int(0, 90);
  const bool wild = random->Chance(10);
  for (float& value : error) {
    if (random->Chance(zeros)) continue;
    value = wild ? random->AnyFloat() : random->Float(-1.0f, 1.0f);
  }
  return error;
}

inline std::vector<int8_t> RandomInt8(Random* random, uint32_t count, int8_t lowest = -128) {
  std::vector<int8_t> values(count);
  for (int8_t& value : values) value = static_cast<int8_t>(random->Int(lowest, 127));
  return values;
}

inline std::vector<int32_t> RandomInt32(Random* random, uint32_t count) {
  std::vector<int32_t> values(count);
  for (int32_t& value : values) {
    value = random->Chance(5) ? static_cast<int32_t>(random->Bits()) : random->Int(-5000, 5000);
  }
  return values;
}

// The state tensor, with `layers` running maxima.
class StateMemory {
 public:
  StateMemory(Random* random, uint32_t layers) : words_(kStateWords + layers, 0) {
    get()->sentinel = 1;
    get()->rng = random->Bits();
    get()->active = 1;
    get()->rate_factor = 1.0f;
    get()->learning_rate = random->Chance(10) ? random->Float(0.0f, 3e38f)
                                              : random->Float(0.0f, 0.5f);
  }
  State* get() { return reinterpret_cast<State*>(words_.data()); }

 private:
  std::vector<uint32_t> words_;
};

}  // namespace test
}  // namespace tfodl

#endif  // TFODL_TESTS_RANDOM_CASES_H_
