#include "tfodl/optimize.h"

#include "tfodl/kernels/integer_error.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"
#include "tfodl/kernels/error_type.h"

namespace tfodl {
namespace {

constexpr uint32_t kMantissa = 0x007fffffu;
constexpr uint32_t kHalf = 0x00400000u;  // of a power of two, in its mantissa
constexpr int32_t kExponentBias = 127;

uint32_t Min(uint32_t a, uint32_t b) { return b < a ? b : a; }

uint32_t WindowsOverAnInput(uint32_t kernel, uint32_t stride) {
  return (kernel + stride - 1) / stride;
}

float PowerOfTwo(int32_t exponent) {
  return FloatFromBits(static_cast<uint32_t>(exponent + kExponentBias) << 23);
}

}  // namespace

TFODL_COLD uint32_t LargestIntegerError(const Layer& layer, LayerKind kind) {
  const LayerOptions& o = layer.options;
  uint32_t limit = INT16_MAX;
  if (layer.Has(kPropagate)) {
    const uint32_t neurons = kind == LayerKind::kDepthwiseConv2D ? o.out_c / o.in_c : o.out_c;
    const uint32_t terms = neurons * WindowsOverAnInput(o.kernel_h, o.stride_h) *
                           WindowsOverAnInput(o.kernel_w, o.stride_w);  // at most kMaxElements
    limit = Min(limit, INT32_MAX / 127u / terms);
  }
  if (layer.Has(kUpdateWeights) || layer.Has(kUpdateBias)) {
    limit = Min(limit, INT32_MAX / 255u / (o.out_h * o.out_w));
  }
  return limit;  // not 0: see kMaxElements
}

TFODL_COLD ErrorUnit MakeErrorUnit(float largest, uint32_t limit) {
  const uint32_t bits = FloatBits(largest);
  const uint32_t limit_bits = FloatBits(static_cast<float>(limit));
  int32_t exponent = static_cast<int32_t>(bits >> 23) - static_cast<int32_t>(limit_bits >> 23);
  if ((bits & kMantissa) > (limit_bits & kMantissa)) ++exponent;
  if (exponent < -126) exponent = -126;
  if (exponent > 100) return ErrorUnit{0.0f, 0.0f};  // infinity and NaN, too: 114 and more
  return ErrorUnit{PowerOfTwo(exponent),
                   FloatFromBits(FloatBits(PowerOfTwo(exponent + 23)) | kHalf)};
}

template <class Error>
ErrorUnit ErrorUnitOf(const Layer& layer, LayerKind kind, const Error* delta, float largest) {
  const uint32_t limit = LargestIntegerError(layer, kind);
  if (HasOwnChannels(layer.options, kind)) return MakeErrorUnit(largest, limit);
  if (layer.options.n_scales == 1) return MakeErrorUnit(largest * layer.WeightScale(0), limit);
  uint32_t bits = 0;  // magnitudes order like their bits
  for (uint32_t p = layer.options.out_h * layer.options.out_w; p > 0; --p) {
    const uint8_t* scale = layer.scales;
    for (const Error* const end = delta + layer.options.out_c; delta != end; ++delta) {
      const uint32_t magnitude = MagnitudeBits(ToFloat(*delta) * FloatFromBits(LoadWord(scale)));
      if (magnitude > bits) bits = magnitude;
      scale += sizeof(float);
    }
  }
  return MakeErrorUnit(FloatFromBits(bits), limit);
}

template ErrorUnit ErrorUnitOf(const Layer& layer, LayerKind kind, const float* delta,
                               float largest);
template ErrorUnit ErrorUnitOf(const Layer& layer, LayerKind kind, const Bfloat16* delta,
                               float largest);

// Both write by bytes: numbers of another type take the place of those that have been read.

template <class Error>
const int16_t* ToIntegerErrors(const Layer& layer, LayerKind kind, const ErrorUnit& unit,
                               Error* delta) {
  const float one = 1.0f;
  const bool own = HasOwnChannels(layer.options, kind);
  const uint32_t next = own || layer.options.n_scales == 1 ? 0 : sizeof one;
  const float magic = unit.magic;
  const Error* from = delta;
  uint8_t* to = reinterpret_cast<uint8_t*>(delta);
  for (uint32_t p = layer.options.out_h * layer.options.out_w; p > 0; --p) {
    const uint8_t* q = own ? reinterpret_cast<const uint8_t*>(&one) : layer.scales;
    for (const Error* const end = from + layer.options.out_c; from != end; ++from) {
      const float sum = ToFloat(*from) * FloatFromBits(LoadWord(q)) + magic;
      const uint16_t error = static_cast<uint16_t>(FloatBits(sum) & 0xffffu);
      memcpy(to, &error, sizeof error);
      to += sizeof error;
      q += next;
    }
  }
  return reinterpret_cast<const int16_t*>(delta);
}

template const int16_t* ToIntegerErrors(const Layer& layer, LayerKind kind, const ErrorUnit& unit,
                                        float* delta);
template const int16_t* ToIntegerErrors(const Layer& layer, LayerKind kind, const ErrorUnit& unit,
                                        Bfloat16* delta);

void ToRealErrors(const Layer& layer, LayerKind kind, const ErrorUnit& unit, uint32_t pixels,
                  int32_t* sums) {
  const float one_unit = unit.unit;
  uint8_t* memory = reinterpret_cast<uint8_t*>(sums);
  const uint8_t* const all = memory + pixels * layer.options.in_c * sizeof(float);
  if (!HasOwnChannels(layer.options, kind)) {
#if TFODL_HAS_FPU
    for (uint32_t fours = pixels * layer.options.in_c / 4; fours > 0; --fours) {
      ScaleFour(&memory, one_unit);
    }
#endif
    while (memory != all) {
      const float value = static_cast<float>(static_cast<int32_t>(LoadWord(memory))) * one_unit;
      memcpy(memory, &value, sizeof value);
      memory += sizeof value;
    }
    return;
  }
  const uint32_t next = layer.options.n_scales == 1 ? 0 : sizeof(float);
  const uint32_t pixel = layer.options.in_c * sizeof(float);
  while (memory != all) {
    const uint8_t* scale = layer.scales;
    for (const uint8_t* const end = memory + pixel; memory != end; scale += next) {
      const float factor = one_unit * FloatFromBits(LoadWord(scale));
      const float value = static_cast<float>(static_cast<int32_t>(LoadWord(memory))) * factor;
      memcpy(memory, &value, sizeof value);
      memory += sizeof value;
    }
  }
}

}  // namespace tfodl
