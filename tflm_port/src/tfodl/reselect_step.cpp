#include "tfodl/reselect_step.h"

#include "tfodl/kernels/neuron_velocity.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

// Outputs as they are now and as they were in the round before take turns.
int8_t* Outputs(const Reselection& reselection, const ReselectTensors& tensors, uint32_t round) {
  const uint32_t size = reselection.neurons * reselection.options.n_references;
  return tensors.outputs + (round % 2) * size;
}

void Select(const Reselection& reselection, const float* velocity, const ReselectTensors& tensors,
            State* state) {
  SelectNeurons(reselection.layers, reselection.options.budget, velocity, &state->rng,
                tensors.masks);
  ++state->reselections;
}

}  // namespace

int8_t* ReselectStep(const Reselection& reselection, int32_t label, const ReselectTensors& tensors,
                     State* state) {
  const ReselectOptions& options = reselection.options;
  const bool due = label >= 0 && state->samples % options.interval == 0;
  if (options.rule == kRandomNeurons) {
    if (due) Select(reselection, nullptr, tensors, state);
    return nullptr;
  }
  VelocityRecord* record = reinterpret_cast<VelocityRecord*>(tensors.velocity);
  if (due) record->next = 0;
  if (label != kReferenceLabel || record->next >= options.n_references) return nullptr;
  return Outputs(reselection, tensors, record->rounds) + record->next;
}

void FinishObservation(const Reselection& reselection, const ReselectTensors& tensors,
                       State* state) {
  const ReselectOptions& options = reselection.options;
  VelocityRecord* record = reinterpret_cast<VelocityRecord*>(tensors.velocity);
  if (++record->next < options.n_references) return;
  const uint32_t round = record->rounds++;
  if (round == 0) return;  // nothing to compare with
  const uint32_t n = reselection.neurons;
  float* phi = reinterpret_cast<float*>(tensors.velocity + sizeof(VelocityRecord) / 4);
  float* velocity = phi + 2 * n;
  const int8_t* now = Outputs(reselection, tensors, round);
  const int8_t* before = Outputs(reselection, tensors, round + 1);
  for (uint32_t i = 0; i < reselection.layers.count; ++i) {
    const NeuronLayer layer = reselection.layers[i];
    for (uint32_t neuron = 0; neuron < layer.neurons; ++neuron, ++phi) {
      if (round == 1) *phi = 1.0f;  // a neuron is similar to itself
      const float similarity =
          CosineSimilarity(now, before, options.n_references, layer.y_zero_point);
      UpdateVelocity(similarity, options.mu, phi, phi + n, phi + 2 * n);
      now += options.n_references;
      before += options.n_references;
    }
  }
  Select(reselection, velocity, tensors, state);
}

}  // namespace tfodl
