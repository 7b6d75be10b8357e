// TFODL_RESELECT: the last op. Every so many labelled samples it chooses which neurons may update.
//
// inputs: state, masks, label; with kFastestNeurons also velocity, outputs, references (constant)
// and y of every layer. No outputs.
#include "tfodl/kernels/neuron_velocity.h"
#include "tfodl/ops/ops.h"
#include "tfodl/options.h"
#include "tfodl/reselect_step.h"
#include "tfodl/session.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_RESELECT";

enum Inputs { kState, kMasks, kLabel, kVelocity, kOutputs, kReferences, kY };

bool Parse(const OpData* data, Reselection* reselection) {
  return data != nullptr && ParseReselect(data->options, data->length, reselection);
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  Reselection reselection;
  if (!Parse(GetOpData(node), &reselection)) return Refuse(kName, "invalid options");
  const ReselectOptions& options = reselection.options;
  const bool observes = options.rule == kFastestNeurons;
  const int inputs = observes ? kY + static_cast<int>(options.n_layers) : kVelocity;
  if (InputCount(node) != inputs || OutputCount(node) != 0) {
    return Refuse(kName, "wrong number of tensors");
  }
  if (!IsState(Input(context, node, kState)) ||
      !IsWritable(Input(context, node, kMasks), kTfLiteInt8, reselection.mask_bytes) ||
      !IsTensor(Input(context, node, kLabel), kTfLiteInt32, 1)) {
    return Refuse(kName, "a tensor does not fit");
  }
  if (!observes) return kTfLiteOk;
  const TfLiteEvalTensor* references = Input(context, node, kReferences);
  const uint32_t elements = ElementCount(references);
  if (!IsWritable(Input(context, node, kVelocity), kTfLiteInt32, VelocityWords(reselection)) ||
      !IsWritable(Input(context, node, kOutputs), kTfLiteInt8,
                  2 * options.n_references * reselection.neurons) ||
      !IsTensor(references, kTfLiteInt8, elements) || references->data.data == nullptr ||
      elements % options.n_references != 0) {
    return Refuse(kName, "a tensor of the velocities does not fit");
  }
  for (uint32_t i = 0; i < options.n_layers; ++i) {
    const TfLiteEvalTensor* y = Input(context, node, kY + static_cast<int>(i));
    const uint32_t count = ElementCount(y);
    if (!IsTensor(y, kTfLiteInt8, count) || count % reselection.layers[i].neurons != 0 ||
        count > kMaxExtent) {
      return Refuse(kName, "an output does not fit");
    }
  }
  return kTfLiteOk;
}

// Tells the program which sample is wanted next.
void PublishWanted(const TfLiteContext* context, const TfLiteNode* node,
                   const ReselectOptions& options) {
  const uint32_t next = *InputData<uint32_t>(context, node, kVelocity);
  if (next >= options.n_references) return;
  const TfLiteEvalTensor* references = Input(context, node, kReferences);
  const uint32_t bytes = ElementCount(references) / options.n_references;
  PublishReference(Reference{Data<int8_t>(references) + next * bytes, bytes});
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  Reselection reselection;
  if (!Parse(GetOpData(node), &reselection)) return kTfLiteError;
  const ReselectOptions& options = reselection.options;
  const ReselectTensors tensors = {InputData<uint8_t>(context, node, kMasks),
                                   InputData<uint32_t>(context, node, kVelocity),
                                   InputData<int8_t>(context, node, kOutputs)};
  State* state = InputData<State>(context, node, kState);
  const int32_t label = *InputData<int32_t>(context, node, kLabel);
  int8_t* means = ReselectStep(reselection, label, tensors, state);
  if (means != nullptr) {
    for (uint32_t i = 0; i < options.n_layers; ++i) {
      const TfLiteEvalTensor* y = Input(context, node, kY + static_cast<int>(i));
      const uint32_t neurons = reselection.layers[i].neurons;
      MeanOfMaps(Data<int8_t>(y), ElementCount(y) / neurons, neurons, means,
                 options.n_references);
      means += neurons * options.n_references;
    }
    FinishObservation(reselection, tensors, state);
  }
  if (options.rule == kFastestNeurons) PublishWanted(context, node, options);
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kReselectOp = {kName, InitOpData, Prepare, Invoke};

}  // namespace tfodl
