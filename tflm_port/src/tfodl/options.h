// The custom options of the training ops, as they lie in the .tflite file (docs/training-graph.md).
//
// Blobs are little-endian and only 4-byte aligned, so everything is copied out. Parse* check every
// field and the exact length: what they accept, the kernels can run. Read* copy without checking
// and are for blobs that Parse* has accepted before.
#ifndef TFODL_OPTIONS_H_
#define TFODL_OPTIONS_H_

#include <stdint.h>
#include <string.h>

#include "tfodl/inline.h"

namespace tfodl {

constexpr uint32_t kAbiVersion = 2;

// Bounds that keep every index and every sum of every kernel inside an int32: even errors of one
// unit may be added up 2^23 times 255.
constexpr uint32_t kMaxExtent = 1u << 20;
constexpr uint32_t kMaxElements = 1u << 23;

struct SeedOptions {
  uint32_t abi_version;
  uint32_t sentinel;  // not 0
  uint32_t rng_seed;  // not 0
  float learning_rate;
  uint32_t n_variables;
  uint32_t n_masks;  // layers whose masks are in the last variable; their neurons follow
};

enum SkipRule : uint32_t { kSkipNever = 0, kSkipTinyPropV2 = 1 };

// When a sample trains (decision.h): the end of the options of every loss.
struct SkipSettings {
  uint32_t skip_rule;
  float d_min;
  float d_max;
  float beta;
  float threshold;
};

struct XentOptions {
  uint32_t abi_version;
  float logits_scale;
  SkipSettings skip;
};

enum LayerFlag : uint32_t {
  kPropagate = 1,
  kUpdateWeights = 2,
  kUpdateBias = 4,
  kMasked = 8,
  kResidual = 16,
  kVariableMask = 32,
  kAccumulate = 64,
};

enum Sparsifier : uint32_t { kDense = 0, kMeProp = 1, kTinyProp = 2 };

struct LayerOptions {
  uint32_t abi_version;
  uint32_t flags;
  uint32_t layer;
  uint32_t in_h, in_w, in_c;
  uint32_t out_h, out_w, out_c;
  uint32_t kernel_h, kernel_w;
  uint32_t stride_h, stride_w;
  uint32_t pad_top, pad_left;
  float x_scale;
  int32_t x_zero_point;
  int32_t act_min, act_max;
  uint32_t sparsifier;
  float s_min, s_max, damping;
  uint32_t n_scales;
};

struct PoolOptions {
  uint32_t abi_version;
  uint32_t in_h, in_w, in_c;
  uint32_t out_h, out_w;
  uint32_t filter_h, filter_w;
  uint32_t stride_h, stride_w;
  uint32_t pad_top, pad_left;
  int32_t act_min, act_max;
};

static_assert(sizeof(SeedOptions) == 24, "six words");
static_assert(sizeof(XentOptions) == 28, "seven words");
static_assert(sizeof(LayerOptions) == 96, "24 words");
static_assert(sizeof(PoolOptions) == 56, "14 words");

// No mask allows all.
TFODL_INLINE bool MaskAllows(const uint8_t* mask, uint32_t neuron) {
  return mask == nullptr || ((mask[neuron / 8] >> (neuron % 8)) & 1) != 0;
}

enum class LayerKind { kFullyConnected, kConv2D, kDepthwiseConv2D };

// XentOptions and the table behind it, which stays where it is (flash on a board).
struct Xent {
  XentOptions options;
  const uint8_t* exponentials;  // 256 floats, unaligned
};

constexpr uint32_t kExponentials = 256;

// LayerOptions and the arrays behind it. The arrays stay where they are (flash on a board).
struct Layer {
  LayerOptions options;
  const uint8_t* scales;  // n_scales floats, unaligned
  const uint8_t* mask;    // bit o % 8 of byte o / 8, or null when every neuron may update
  uint32_t mask_offset;   // with kVariableMask: where in the tensor of the masks `mask` starts

  TFODL_INLINE bool Has(LayerFlag flag) const { return (options.flags & flag) != 0; }
  uint32_t InputCount() const { return options.in_h * options.in_w * options.in_c; }
  uint32_t OutputCount() const { return options.out_h * options.out_w * options.out_c; }
  TFODL_INLINE float WeightScale(uint32_t neuron) const {
    float scale;
    memcpy(&scale, scales + (options.n_scales == 1 ? 0 : neuron * sizeof scale), sizeof scale);
    return scale;
  }
  TFODL_INLINE bool MayUpdate(uint32_t neuron) const {
    return MaskAllows(mask, neuron);
  }
  // How many of the neurons before `neuron` may update.
  uint32_t UpdatingBefore(uint32_t neuron) const;
  // Where the weights of a neuron are updated, in rows: sums have rows only of neurons that may.
  TFODL_INLINE uint32_t RowOf(uint32_t neuron) const {
    return Has(kAccumulate) ? UpdatingBefore(neuron) : neuron;
  }
};

// Weights of one neuron: kernel_h * kernel_w * in_c; depthwise: kernel_h * kernel_w.
uint32_t FanIn(const LayerOptions& options, LayerKind kind);

// Of kAccumulate: how many numbers sums hold of a layer's weights, in rows of neurons that may
// update. Weights of depthwise neurons are in no rows of their own: there all neurons have sums.
uint32_t SummedNeurons(const Layer& layer, LayerKind kind);

// What a mask takes in memory.
inline uint32_t MaskBytes(uint32_t neurons) { return (neurons + 7) / 8; }

// Neurons of layer `index` among those with variable masks; `blob` is that of TFODL_SEED.
uint32_t MaskedNeurons(const uint8_t* blob, uint32_t index);

bool IsSkipSettings(const SkipSettings& skip);

bool ParseSeed(const uint8_t* blob, uint32_t length, SeedOptions* options);
bool ParseXent(const uint8_t* blob, uint32_t length, Xent* xent);
bool ParseLayer(const uint8_t* blob, uint32_t length, LayerKind kind, Layer* layer);
bool ParsePool(const uint8_t* blob, uint32_t length, PoolOptions* options);

SeedOptions ReadSeed(const uint8_t* blob);
Xent ReadXent(const uint8_t* blob);
Layer ReadLayer(const uint8_t* blob);
PoolOptions ReadPool(const uint8_t* blob);

}  // namespace tfodl

#endif  // TFODL_OPTIONS_H_
