#include "tfodl/options.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"
#include "tfodl/option_checks.h"

namespace tfodl {
namespace {

template <class T>
T Copy(const uint8_t* bytes) {
  T value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

// Every blob starts with its version, so that is looked at before anything else.
bool HasHeader(const uint8_t* blob, uint32_t length, uint32_t size) {
  return blob != nullptr && length >= size && Copy<uint32_t>(blob) == kAbiVersion;
}

TFODL_NOINLINE bool IsNonNegative(float value) { return IsFinite(value) && value >= 0.0f; }

bool HasValidGeometry(const LayerOptions& o, LayerKind kind) {
  if (!IsExtent(o.in_c) || !IsExtent(o.out_c) ||
      !IsWindowAxis(o.in_h, o.out_h, o.kernel_h, o.stride_h, o.pad_top) ||
      !IsWindowAxis(o.in_w, o.out_w, o.kernel_w, o.stride_w, o.pad_left) ||
      !ProductFits(o.in_h, o.in_w, o.in_c) || !ProductFits(o.out_h, o.out_w, o.out_c)) {
    return false;
  }
  switch (kind) {
    case LayerKind::kFullyConnected:
      return (o.in_h | o.in_w | o.out_h | o.out_w | o.kernel_h | o.kernel_w | o.stride_h |
              o.stride_w) == 1 &&  // none of them is 0
             ProductFits(o.in_c, o.out_c, 1);
    case LayerKind::kConv2D:
      return ProductFits(o.kernel_h, o.kernel_w, o.in_c, o.out_c);
    case LayerKind::kDepthwiseConv2D:
      return o.out_c % o.in_c == 0 && ProductFits(o.kernel_h, o.kernel_w, o.out_c);
  }
  return false;
}

bool HasValidSettings(const LayerOptions& o) {
  constexpr uint32_t kWork = kPropagate | kUpdateWeights | kUpdateBias;
  const bool residual_fits = (o.flags & kResidual) == 0 || (o.flags & kUpdateWeights) != 0;
  const bool one_mask = (o.flags & (kMasked | kVariableMask)) != (kMasked | kVariableMask);
  // Sums keep what rounding leaves, and have rows for one mask only.
  const bool sums_fit =
      (o.flags & kAccumulate) == 0 || (o.flags & (kResidual | kVariableMask)) == 0;
  return (o.flags & ~(kWork | kMasked | kResidual | kVariableMask | kAccumulate)) == 0 &&
         (o.flags & kWork) != 0 && residual_fits && one_mask && sums_fit && o.layer < kMaxExtent &&
         IsPositiveNumber(o.x_scale) && IsInt8(o.x_zero_point) &&
         IsRangeAroundInt8(o.act_min, o.act_max) && o.sparsifier <= kTinyProp &&
         IsNonNegative(o.s_min) && IsNonNegative(o.s_max) && IsNonNegative(o.damping) &&
         (o.n_scales == 1 || o.n_scales == o.out_c);
}

}  // namespace

TFODL_NOINLINE bool ProductFits(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  const uint32_t factors[] = {b, c, d};
  uint64_t product = a;
  for (const uint32_t factor : factors) {
    product *= factor;
    if (product > kMaxElements) return false;
  }
  return true;
}

// One axis of a sliding window. Every window covers at least one element of the input.
TFODL_NOINLINE bool IsWindowAxis(uint32_t in, uint32_t out, uint32_t window, uint32_t stride,
                                 uint32_t pad) {
  return IsExtent(in) && IsExtent(out) && IsExtent(window) && IsExtent(stride) && pad < window &&
         static_cast<uint64_t>(out - 1) * stride < static_cast<uint64_t>(in) + pad;
}

bool IsSkipSettings(const SkipSettings& skip) {
  return skip.skip_rule <= kSkipTinyPropV2 && IsFinite(skip.d_min) && IsFinite(skip.d_max) &&
         IsFinite(skip.beta) && IsFinite(skip.threshold);
}

uint32_t FanIn(const LayerOptions& options, LayerKind kind) {
  const uint32_t window = options.kernel_h * options.kernel_w;
  return kind == LayerKind::kDepthwiseConv2D ? window : window * options.in_c;
}

// By bytes: it is asked for every neuron of a layer.
uint32_t Layer::UpdatingBefore(uint32_t neuron) const {
  if (mask == nullptr) return neuron;
  uint32_t count = 0;
  for (const uint8_t* byte = mask; neuron > 0; ++byte) {
    uint32_t bits = *byte;
    if (neuron < 8) bits &= (1u << neuron) - 1;
    for (; bits != 0; bits &= bits - 1) ++count;
    neuron -= neuron < 8 ? neuron : 8;
  }
  return count;
}

uint32_t SummedNeurons(const Layer& layer, LayerKind kind) {
  return kind == LayerKind::kDepthwiseConv2D ? layer.options.out_c
                                             : layer.UpdatingBefore(layer.options.out_c);
}

uint32_t MaskedNeurons(const uint8_t* blob, uint32_t index) {
  return Copy<uint32_t>(blob + sizeof(SeedOptions) + index * sizeof(uint32_t));
}

SeedOptions ReadSeed(const uint8_t* blob) { return Copy<SeedOptions>(blob); }

Xent ReadXent(const uint8_t* blob) {
  return Xent{Copy<XentOptions>(blob), blob + sizeof(XentOptions)};
}

PoolOptions ReadPool(const uint8_t* blob) { return Copy<PoolOptions>(blob); }

Layer ReadLayer(const uint8_t* blob) {
  Layer layer;
  layer.options = Copy<LayerOptions>(blob);
  layer.scales = blob + sizeof(LayerOptions);
  const uint8_t* end = layer.scales + layer.options.n_scales * sizeof(float);
  layer.mask = layer.Has(kMasked) ? end : nullptr;
  layer.mask_offset = layer.Has(kVariableMask) ? Copy<uint32_t>(end) : 0;
  return layer;
}

bool ParseSeed(const uint8_t* blob, uint32_t length, SeedOptions* options) {
  if (!HasHeader(blob, length, sizeof *options)) return false;
  *options = ReadSeed(blob);
  if (options->n_masks > kMaxExtent ||
      length != sizeof *options + options->n_masks * sizeof(uint32_t) ||
      (options->n_masks > 0 && options->n_variables == 0)) {
    return false;
  }
  for (uint32_t i = 0; i < options->n_masks; ++i) {
    if (!IsExtent(MaskedNeurons(blob, i))) return false;
  }
  return options->sentinel != 0 && options->rng_seed != 0 &&
         IsNonNegative(options->learning_rate) && options->n_variables <= kMaxExtent;
}

bool ParseXent(const uint8_t* blob, uint32_t length, Xent* xent) {
  constexpr uint32_t kSize = sizeof(XentOptions) + kExponentials * sizeof(float);
  if (!HasHeader(blob, length, kSize) || length != kSize) return false;
  *xent = ReadXent(blob);
  const XentOptions& o = xent->options;
  // From 0 up to 1, without a step down. Floats that are not negative order like their bits.
  uint32_t least = 0;
  for (uint32_t i = 0; i < kExponentials; ++i) {
    const uint32_t bits = LoadWord(xent->exponentials + i * sizeof(float));
    if (bits < least) return false;
    least = bits;
  }
  return least == FloatBits(1.0f) && IsPositiveNumber(o.logits_scale) && IsSkipSettings(o.skip);
}

bool ParseLayer(const uint8_t* blob, uint32_t length, LayerKind kind, Layer* layer) {
  if (!HasHeader(blob, length, sizeof(LayerOptions))) return false;
  const LayerOptions options = Copy<LayerOptions>(blob);
  if (!HasValidGeometry(options, kind) || !HasValidSettings(options)) return false;
  uint32_t mask_bytes = 0;
  if ((options.flags & kMasked) != 0) mask_bytes = MaskBytes(options.out_c);
  if ((options.flags & kVariableMask) != 0) mask_bytes = sizeof(uint32_t);
  if (length != sizeof options + options.n_scales * sizeof(float) + mask_bytes) return false;
  *layer = ReadLayer(blob);
  for (uint32_t neuron = 0; neuron < options.n_scales; ++neuron) {
    if (!IsPositiveNumber(layer->WeightScale(neuron))) return false;
  }
  return true;
}

bool ParsePool(const uint8_t* blob, uint32_t length, PoolOptions* options) {
  if (!HasHeader(blob, length, sizeof *options) || length != sizeof *options) return false;
  *options = ReadPool(blob);
  const PoolOptions& o = *options;
  return IsExtent(o.in_c) && IsWindowAxis(o.in_h, o.out_h, o.filter_h, o.stride_h, o.pad_top) &&
         IsWindowAxis(o.in_w, o.out_w, o.filter_w, o.stride_w, o.pad_left) &&
         ProductFits(o.in_h, o.in_w, o.in_c) && ProductFits(o.out_h, o.out_w, o.in_c) &&
         IsRangeAroundInt8(o.act_min, o.act_max);
}

}  // namespace tfodl
