#include "tfodl/accumulate_options.h"

#include "tfodl/option_checks.h"

namespace tfodl {
namespace {

uint32_t MaskWords(const SummedLayer& layer) {
  return layer.masked != 0 ? (layer.neurons + 31) / 32 : 0;
}

}  // namespace

bool ParseAccumulate(const uint8_t* blob, uint32_t length, AccumulateOptions* options) {
  AccumulateOptions o;
  if (blob == nullptr || length < sizeof o || !CopyOptions(blob, sizeof o, &o)) return false;
  *options = o;
  uint32_t left = length - static_cast<uint32_t>(sizeof o);
  blob += sizeof o;
  for (uint32_t i = 0; i < o.n_layers; ++i) {
    SummedLayer layer;
    if (left < sizeof layer) return false;
    memcpy(&layer, blob, sizeof layer);
    if (layer.neurons < 1 || layer.neurons > kMaxExtent || layer.fan_in < 1 ||
        layer.fan_in > kMaxElements / layer.neurons || layer.masked > 1) {
      return false;
    }
    const uint32_t bytes =
        static_cast<uint32_t>(sizeof layer + MaskWords(layer) * sizeof(uint32_t));
    if (left < bytes) return false;
    blob += bytes;
    left -= bytes;
  }
  return left == 0 && o.samples >= 1 && o.rule <= kKeepRest && o.n_layers >= 1;
}

Sums NextSums(const uint8_t** blob) {
  Sums sums;
  memcpy(&sums.layer, *blob, sizeof sums.layer);
  *blob += sizeof sums.layer;
  sums.mask = sums.layer.masked != 0 ? *blob : nullptr;
  *blob += MaskWords(sums.layer) * sizeof(uint32_t);
  sums.rows = 0;
  for (uint32_t neuron = 0; neuron < sums.layer.neurons; ++neuron) {
    sums.rows += MaskAllows(sums.mask, neuron);
  }
  return sums;
}

}  // namespace tfodl
