#include "tfodl/fully_connected_options.h"

#include "tfodl/option_checks.h"

namespace tfodl {

FullyConnectedLayer ReadFullyConnected(const uint8_t* blob) {
  FullyConnectedLayer layer;
  memcpy(&layer.options, blob, sizeof layer.options);
  layer.scales = ReadFixedPoint(blob + sizeof layer.options, layer.options.n_scales);
  return layer;
}

bool ParseFullyConnected(const uint8_t* blob, uint32_t length, FullyConnectedLayer* layer) {
  FullyConnectedOptions o;
  if (length < sizeof o || !CopyOptions(blob, sizeof o, &o) || !IsExtent(o.rows) ||
      !IsExtent(o.in_c) || !IsExtent(o.out_c) || o.in_c > kMaxFanIn ||
      !ProductFits(o.rows, o.in_c, 1) || !ProductFits(o.rows, o.out_c, 1) ||
      !ProductFits(o.in_c, o.out_c, 1) || (o.n_scales != 1 && o.n_scales != o.out_c) ||
      length != sizeof o + FixedPointBytes(o.n_scales)) {
    return false;
  }
  *layer = ReadFullyConnected(blob);
  return AreScales(layer->scales, o.n_scales) && HasInt8Range(o);
}

}  // namespace tfodl
