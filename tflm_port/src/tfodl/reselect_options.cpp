#include "tfodl/reselect_options.h"

#include "tfodl/option_checks.h"

namespace tfodl {

bool ParseReselect(const uint8_t* blob, uint32_t length, Reselection* reselection) {
  ReselectOptions o;
  if (length < sizeof o || !CopyOptions(blob, sizeof o, &o)) return false;
  if (o.rule > kFastestNeurons || o.interval < 1 || o.budget < 1 || o.budget > kMaxElements ||
      (o.rule == kRandomNeurons ? o.n_references != 0
                                : o.n_references < 1 || o.n_references > kMaxReferences) ||
      !IsFinite(o.mu) || o.n_layers < 1 || o.n_layers > kMaxExtent ||
      length != sizeof o + o.n_layers * sizeof(NeuronLayer)) {
    return false;
  }
  *reselection = Reselection{o, {blob + sizeof o, o.n_layers}, 0, 0};
  for (uint32_t i = 0; i < o.n_layers; ++i) {
    const NeuronLayer layer = reselection->layers[i];
    if (layer.neurons < 1 || layer.neurons > kMaxExtent || layer.cost < 1 ||
        layer.cost > kMaxElements || !IsInt8(layer.y_zero_point)) {
      return false;
    }
    reselection->neurons += layer.neurons;
    reselection->mask_bytes += MaskBytes(layer.neurons);
    if (reselection->neurons > kMaxExtent) return false;
  }
  return true;
}

}  // namespace tfodl
