#include "tfodl/session.h"

#include "tfodl/options.h"

namespace tfodl {
namespace {

Session g_session = {nullptr, 0, nullptr, 0, nullptr};
Counts g_counts = {0, 0};
Reference g_reference = {nullptr, 0};

}  // namespace

const Session& CurrentSession() { return g_session; }

const Reference& WantedReference() { return g_reference; }

Mask MaskOfLayer(uint32_t layer) {
  if (g_session.state == nullptr) return Mask{nullptr, 0};
  const uint8_t* options = g_session.seed_options;
  if (layer >= ReadSeed(options).n_masks) return Mask{nullptr, 0};
  uint8_t* bits = static_cast<uint8_t*>(g_session.variables[g_session.n_variables - 1].data);
  for (uint32_t i = 0; i < layer; ++i) bits += MaskBytes(MaskedNeurons(options, i));
  return Mask{bits, MaskedNeurons(options, layer)};
}

void PublishSession(const Session& session) {
  g_session = session;
  g_reference = Reference{nullptr, 0};
}

void PublishReference(const Reference& reference) { g_reference = reference; }

const Counts& CurrentCounts() { return g_counts; }

void CountSeeding() { ++g_counts.seedings; }

void CountClipped() { ++g_counts.clipped; }

}  // namespace tfodl
