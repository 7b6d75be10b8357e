// TFODL_SEED: the first op. Fills the variables from constants when the sentinel in the state does
// not match (TFLM zeroes variables at start and on Reset), and publishes where they are.
//
// inputs: state, var_0 .. var_n-1, seed_0 .. seed_n-1; no outputs. Without a seed a variable starts
// at zero. A float32 variable has an int8 or int32 seed.
#include <string.h>

#include "tfodl/ops/ops.h"
#include "tfodl/options.h"
#include "tfodl/session.h"
#include "tfodl/state.h"

namespace tfodl {
namespace {

const char kName[] = "TFODL_SEED";

// The options, and room for the published list of variables.
struct SeedData {
  OpData op;
  Variable* variables;
};

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  SeedOptions options;
  if (!ParseSeed(reinterpret_cast<const uint8_t*>(buffer), static_cast<uint32_t>(length),
                 &options)) {
    return InitOpData(context, nullptr, 0);
  }
  SeedData* data = static_cast<SeedData*>(AllocatePersistent(context, sizeof(SeedData)));
  if (data == nullptr) return nullptr;
  data->op = MakeOpData(buffer, length);
  data->variables = nullptr;
  if (options.n_variables > 0) {
    data->variables = static_cast<Variable*>(
        AllocatePersistent(context, options.n_variables * sizeof(Variable)));
    if (data->variables == nullptr) return nullptr;
  }
  return data;
}

uint32_t ElementSize(const TfLiteEvalTensor* tensor) {
  return tensor->type == kTfLiteInt8 ? sizeof(int8_t) : sizeof(int32_t);
}

// From an int8 or int32 tensor.
void ToFloats(const TfLiteEvalTensor* seed, float* to) {
  const bool is_int8 = seed->type == kTfLiteInt8;
  for (uint32_t i = ElementCount(seed); i-- > 0;) {
    to[i] = static_cast<float>(is_int8 ? Data<int8_t>(seed)[i] : Data<int32_t>(seed)[i]);
  }
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const OpData* data = GetOpData(node);
  SeedOptions options;
  if (data == nullptr || !ParseSeed(data->options, data->length, &options)) {
    return Refuse(kName, "invalid options");
  }
  const int n = static_cast<int>(options.n_variables);
  if (InputCount(node) != 1 + 2 * n || OutputCount(node) != 0) {
    return Refuse(kName, "wrong number of tensors");
  }
  if (!IsState(Input(context, node, 0))) {
    return Refuse(kName, "the state tensor does not fit");
  }
  for (int i = 0; i < n; ++i) {
    const TfLiteEvalTensor* variable = Input(context, node, 1 + i);
    const TfLiteEvalTensor* seed = Input(context, node, 1 + n + i);
    const uint32_t elements = ElementCount(variable);
    if (variable == nullptr || !IsWritable(variable, variable->type, elements)) {
      return Refuse(kName, "a variable does not fit");
    }
    const bool is_float = variable->type == kTfLiteFloat32;
    if (!is_float && variable->type != kTfLiteInt8 && variable->type != kTfLiteInt32) {
      return Refuse(kName, "a variable does not fit");
    }
    if (seed != nullptr &&
        (!IsTensor(seed, is_float && seed->type == kTfLiteInt32 ? kTfLiteInt32
                         : is_float                            ? kTfLiteInt8
                                                               : variable->type,
                   elements) ||
         seed->data.data == nullptr)) {
      return Refuse(kName, "a variable and its seed do not match");
    }
  }
  uint32_t mask_bytes = 0;
  for (uint32_t i = 0; i < options.n_masks; ++i) {
    mask_bytes += MaskBytes(MaskedNeurons(data->options, i));
    if (mask_bytes > kMaxExtent) break;
  }
  if (mask_bytes > 0 && !IsWritable(Input(context, node, n), kTfLiteInt8, mask_bytes)) {
    return Refuse(kName, "the masks do not fit");
  }
  return kTfLiteOk;
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const SeedData* data = static_cast<const SeedData*>(node->user_data);
  const SeedOptions options = ReadSeed(data->op.options);
  const TfLiteEvalTensor* state_tensor = Input(context, node, 0);
  State* state = Data<State>(state_tensor);
  const uint32_t state_bytes = ElementCount(state_tensor) * static_cast<uint32_t>(sizeof(int32_t));
  const bool seeding = state->sentinel != options.sentinel;
  if (seeding) {
    CountSeeding();
    memset(state, 0, state_bytes);
    state->sentinel = options.sentinel;
    state->rng = options.rng_seed;
    state->learning_rate = options.learning_rate;
    state->rate_factor = 1.0f;
  }
  // Their addresses stay until TFLM allocates the tensors again, which clears the state.
  const int n = seeding ? static_cast<int>(options.n_variables) : 0;
  for (int i = 0; i < n; ++i) {
    const TfLiteEvalTensor* variable = Input(context, node, 1 + i);
    data->variables[i].data = variable->data.data;
    data->variables[i].bytes = ElementCount(variable) * ElementSize(variable);
    const TfLiteEvalTensor* seed = Input(context, node, 1 + n + i);
    if (seed == nullptr) {
      memset(variable->data.data, 0, data->variables[i].bytes);
    } else if (variable->type == kTfLiteFloat32) {
      ToFloats(seed, Data<float>(variable));
    } else {
      memcpy(variable->data.data, seed->data.data, data->variables[i].bytes);
    }
  }
  PublishSession(Session{state, state_bytes, data->variables, options.n_variables,
                         data->op.options});
  return kTfLiteOk;
}

}  // namespace

const OpDefinition kSeedOp = {kName, Init, Prepare, Invoke};

}  // namespace tfodl
