#include "tfodl/optimize.h"

#include "tfodl/kernels/integer_error.h"

#include "tfodl/dsp.h"
#include "tfodl/float_math.h"

namespace tfodl {
namespace {

constexpr uint32_t kMantissa = 0x007fffffu;
constexpr int32_t kExponentBias = 127;

uint32_t Min(uint32_t a, uint32_t b) { return b < a ? b : a; }

uint32_t WindowsOverAnInput(uint32_t kernel, uint32_t stride) {
  return (kernel + stride - 1) / stride;
}

float PowerOfTwo(int32_t exponent) {
  return FloatFromBits(static_cast<uint32_t>(exponent + kExponentBias) << 23);
}

}  // namespace

uint32_t LargestIntegerError(const Layer& layer, LayerKind kind) {
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
  return limit > 0 ? limit : 1;
}

ErrorUnit MakeErrorUnit(float largest, uint32_t limit) {
  const uint32_t bits = FloatBits(largest);
  const uint32_t limit_bits = FloatBits(static_cast<float>(limit));
  if (!IsFinite(largest)) return ErrorUnit{0.0f, 0.0f};
  int32_t exponent = static_cast<int32_t>(bits >> 23) - static_cast<int32_t>(limit_bits >> 23);
  if ((bits & kMantissa) > (limit_bits & kMantissa)) ++exponent;
  if (exponent < -126) exponent = -126;
  if (exponent > 100) return ErrorUnit{0.0f, 0.0f};
  return ErrorUnit{PowerOfTwo(exponent), 1.5f * PowerOfTwo(exponent + 23)};
}

ErrorUnit ErrorUnitOf(const Layer& layer, LayerKind kind, float largest) {
  float largest_scale = 0.0f;
  for (uint32_t i = 0; i < layer.options.n_scales; ++i) {
    const float scale = layer.WeightScale(i);
    if (scale > largest_scale) largest_scale = scale;
  }
  return MakeErrorUnit(largest * largest_scale, LargestIntegerError(layer, kind));
}

const int16_t* ToIntegerErrors(const Layer& layer, const ErrorUnit& unit, float* delta) {
  // Writes by bytes: the int16 overwrite floats that have been read.
  const float* from = delta;
  uint8_t* to = reinterpret_cast<uint8_t*>(delta);
  const uint32_t neurons = layer.options.out_c;
  const uint32_t next = layer.options.n_scales > 1 ? sizeof(float) : 0;
  const float magic = unit.magic;
  for (uint32_t p = layer.options.out_h * layer.options.out_w; p > 0; --p) {
    const uint8_t* scale = layer.scales;
    for (const float* const end = from + neurons; from != end; ++from) {
      const float sum = *from * FloatFromBits(LoadWord(scale)) + magic;
      const uint16_t error = static_cast<uint16_t>(FloatBits(sum) & 0xffffu);
      memcpy(to, &error, sizeof error);
      to += sizeof error;
      scale += next;
    }
  }
  return reinterpret_cast<const int16_t*>(delta);
}

void ToRealErrors(int32_t* sums, uint32_t count, const ErrorUnit& unit) {
  uint8_t* memory = reinterpret_cast<uint8_t*>(sums);
  const float scale = unit.unit;
  for (const uint8_t* const end = memory + count * sizeof(float); memory != end;) {
    const float value = static_cast<float>(static_cast<int32_t>(LoadWord(memory))) * scale;
    memcpy(memory, &value, sizeof value);
    memory += sizeof value;
  }
}

}  // namespace tfodl
