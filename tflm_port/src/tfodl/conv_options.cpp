#include "tfodl/conv_options.h"

#include "tfodl/option_checks.h"

namespace tfodl {
namespace {

bool HasValidGeometry(const ConvOptions& o, LayerKind kind) {
  if (!IsExtent(o.in_c) || !IsExtent(o.out_c) ||
      !IsWindowAxis(o.in_h, o.out_h, o.kernel_h, o.stride_h, o.pad_top) ||
      !IsWindowAxis(o.in_w, o.out_w, o.kernel_w, o.stride_w, o.pad_left) ||
      !ProductFits(o.in_h, o.in_w, o.in_c) || !ProductFits(o.out_h, o.out_w, o.y_c) ||
      o.out_c > o.y_c || o.first_c > o.y_c - o.out_c) {
    return false;
  }
  if (kind == LayerKind::kConv2D) {
    return ProductFits(o.kernel_h, o.kernel_w, o.in_c, o.out_c) && FanIn(o, kind) <= kMaxFanIn;
  }
  return o.out_c % o.in_c == 0 && ProductFits(o.kernel_h, o.kernel_w, o.out_c) &&
         ProductFits(o.kernel_h, o.in_w, o.in_c) &&
         FanIn(o, kind) <= kMaxFanIn;
}

}  // namespace

uint32_t FanIn(const ConvOptions& o, LayerKind kind) {
  const uint32_t window = o.kernel_h * o.kernel_w;
  return kind == LayerKind::kDepthwiseConv2D ? window : window * o.in_c;
}

uint32_t ConvScratchWords(const ConvOptions& o) {
  const uint32_t groups = (FanIn(o, LayerKind::kConv2D) + 3) / 4;
  return 4 * groups + (o.kernel_h * o.kernel_w == 1 ? 0 : groups);
}

bool CanWorkInPlace(const ConvOptions& o) {
  return o.in_h == o.out_h && o.in_w == o.out_w && o.in_c == o.out_c && o.out_c == o.y_c &&
         o.stride_h == 1 && o.stride_w == 1;
}

uint32_t InPlaceScratchWords(const ConvOptions& o) {
  return (o.kernel_h * o.in_w * o.in_c + 3) / 4;
}

Conv ReadConv(const uint8_t* blob) {
  Conv conv;
  memcpy(&conv.options, blob, sizeof conv.options);
  conv.scales = ReadFixedPoint(blob + sizeof conv.options, conv.options.out_c);
  return conv;
}

bool ParseConv(const uint8_t* blob, uint32_t length, LayerKind kind, Conv* conv) {
  ConvOptions o;
  if (length < sizeof o || !CopyOptions(blob, sizeof o, &o) || !HasValidGeometry(o, kind) ||
      length != sizeof o + FixedPointBytes(o.out_c)) {
    return false;
  }
  *conv = ReadConv(blob);
  return AreScales(conv->scales, o.out_c) && HasInt8Range(o);
}

}  // namespace tfodl
