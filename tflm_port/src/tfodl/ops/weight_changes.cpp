// TFODL_LOAD_WEIGHTS and TFODL_STORE_WEIGHTS: the weights of a layer that keeps in RAM what they
// have changed by, for the ops between the two.
//
// LOAD:  inputs: state (absent: whether or not the sample is trained), changes, exported;
//        output: weights.
// STORE: inputs: state, changes, exported, weights; no outputs. `changes` is overwritten.
#include "tfodl/kernels/weight_changes.h"

#include "tfodl/ops/ops.h"
#include "tfodl/state.h"

namespace tfodl {
namespace {

const char kLoadName[] = "TFODL_LOAD_WEIGHTS";
const char kStoreName[] = "TFODL_STORE_WEIGHTS";

enum Inputs { kState, kChanges, kExported, kLoadInputs, kWeights = kLoadInputs, kStoreInputs };

bool IsTrained(const TfLiteEvalTensor* state) { return Data<State>(state)->active != 0; }

// The options, and all tensors but the weights.
TfLiteStatus PrepareBoth(TfLiteContext* context, TfLiteNode* node, const char* name,
                         const TfLiteEvalTensor* weights) {
  if (!HasVersionOnly(GetOpData(node))) return Refuse(name, "invalid options");
  const TfLiteEvalTensor* exported = Input(context, node, kExported);
  const uint32_t count = ElementCount(exported);
  if (!IsTensor(exported, kTfLiteInt8, count) || exported->data.data == nullptr ||
      !IsWritable(Input(context, node, kChanges), kTfLiteInt8, ChangesBytes(count)) ||
      !IsWritable(weights, kTfLiteInt8, count)) {
    return Refuse(name, "a tensor does not fit");
  }
  return kTfLiteOk;
}

TfLiteStatus PrepareLoad(TfLiteContext* context, TfLiteNode* node) {
  if (InputCount(node) != kLoadInputs || OutputCount(node) != 1) {
    return Refuse(kLoadName, "wrong number of tensors");
  }
  const TfLiteEvalTensor* state = Input(context, node, kState);
  if (state != nullptr && !IsState(state)) {
    return Refuse(kLoadName, "the state tensor does not fit");
  }
  return PrepareBoth(context, node, kLoadName, Output(context, node, 0));
}

TfLiteStatus PrepareStore(TfLiteContext* context, TfLiteNode* node) {
  if (InputCount(node) != kStoreInputs || OutputCount(node) != 0) {
    return Refuse(kStoreName, "wrong number of tensors");
  }
  if (!IsState(Input(context, node, kState))) {
    return Refuse(kStoreName, "the state tensor does not fit");
  }
  return PrepareBoth(context, node, kStoreName, Input(context, node, kWeights));
}

TfLiteStatus Load(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* state = Input(context, node, kState);
  if (state != nullptr && !IsTrained(state)) return kTfLiteOk;
  const TfLiteEvalTensor* exported = Input(context, node, kExported);
  LoadWeights(Data<int8_t>(Input(context, node, kChanges)), Data<int8_t>(exported),
              ElementCount(exported), Data<int8_t>(Output(context, node, 0)));
  return kTfLiteOk;
}

TfLiteStatus Store(TfLiteContext* context, TfLiteNode* node) {
  if (!IsTrained(Input(context, node, kState))) return kTfLiteOk;
  State* state = Data<State>(Input(context, node, kState));
  const TfLiteEvalTensor* exported = Input(context, node, kExported);
  state->saturated += StoreWeights(
      Data<int8_t>(Input(context, node, kWeights)), Data<int8_t>(exported),
      ElementCount(exported), Data<int8_t>(Input(context, node, kChanges)), &state->rng);
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kLoadWeightsOp = {kLoadName, InitOpData, PrepareLoad, Load};
const OpDefinition kStoreWeightsOp = {kStoreName, InitOpData, PrepareStore, Store};

}  // namespace tfodl
