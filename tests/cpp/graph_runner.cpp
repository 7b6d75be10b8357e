#include "graph_runner.h"

#include <stdlib.h>
#include <string.h>

#include "tfodl/conv_options.h"
#include "tfodl/fully_connected_options.h"
#include "tfodl/kernels/error_type.h"
#include "tfodl/options.h"

namespace tfodl {

// What TFLM's interpreter knows; here it is all that a context is.
struct TfLiteContext {
  TfLiteEvalTensor tensors[test::Graph::kMostTensors];
  void* persistent[4 * test::Graph::kMostNodes];
  int persistent_count;
};

TfLiteEvalTensor* EvalTensor(const TfLiteContext* context, int index) {
  return const_cast<TfLiteEvalTensor*>(&context->tensors[index]);
}

void* AllocatePersistent(TfLiteContext* context, size_t bytes) {
  constexpr size_t kArena = 1u << 20;
  if (bytes > kArena || context->persistent_count == 4 * test::Graph::kMostNodes) return nullptr;
  return context->persistent[context->persistent_count++] = malloc(bytes);
}

void Log(const char*, const char*) {}

namespace test {
namespace {

class Reader {
 public:
  Reader(const uint8_t* bytes, size_t size) : next_(bytes), end_(bytes + size) {}

  uint8_t U8() { return next_ == end_ ? 0 : *next_++; }
  uint16_t U16() {
    const uint32_t low = U8();
    return static_cast<uint16_t>(low | static_cast<uint32_t>(U8()) << 8);
  }
  int16_t I16() { return static_cast<int16_t>(U16()); }

 private:
  const uint8_t* next_;
  const uint8_t* end_;
};

TfLiteIntArray* NewIntArray(int size) {
  void* memory = malloc(static_cast<size_t>(1 + size + (size == 0)) * sizeof(int));
  TfLiteIntArray* array = static_cast<TfLiteIntArray*>(memory);
  array->size = size;
  return array;
}

constexpr int kFirstBfloat16 = kOpCount + kSeparateOpCount;
constexpr int kAllOps = kFirstBfloat16 + kBfloat16OpCount;

const char* NameOf(int op) {
  if (op >= kFirstBfloat16) return Bfloat16OpName(op - kFirstBfloat16);
  return op < kOpCount ? OpName(op) : SeparateOpName(op - kOpCount);
}

Registration RegistrationOf(int op) {
  if (op >= kFirstBfloat16) return Bfloat16OpRegistration(op - kFirstBfloat16);
  return op < kOpCount ? OpRegistration(op) : SeparateOpRegistration(op - kOpCount);
}

// Names stay, also where ops are added to the list. Other numbers are ops, too.
int OpOf(uint8_t hash) {
  for (int op = 0; op < kAllOps; ++op) {
    uint32_t value = 0;
    for (const char* c = NameOf(op); *c != 0; ++c) value = value * 41 + static_cast<uint8_t>(*c);
    if (value % 256 == hash) return op;
  }
  return hash % kAllOps;
}

// Whatever the type of its errors.
bool IsOp(int op, const char* name) {
  const size_t length = strlen(name);
  const char* const found = NameOf(op);
  return strncmp(found, name, length) == 0 &&
         (found[length] == 0 || strcmp(found + length, "_BF16") == 0);
}

uint64_t WorkOfLayer(const uint8_t* blob, uint32_t length, LayerKind kind) {
  Layer layer;
  if (!ParseLayer(blob, length, kind, &layer)) return 0;
  return uint64_t{layer.OutputCount()} * FanIn(layer.options, kind);
}

uint64_t WorkOfConvolution(const uint8_t* blob, uint32_t length, LayerKind kind) {
  Conv conv;
  if (!ParseConv(blob, length, kind, &conv)) return 0;
  const ConvOptions& o = conv.options;
  return uint64_t{o.out_h} * o.out_w * o.out_c * FanIn(o, kind);
}

uint64_t WorkOfFullyConnected(const uint8_t* blob, uint32_t length) {
  FullyConnectedLayer layer;
  if (!ParseFullyConnected(blob, length, &layer)) return 0;
  return uint64_t{layer.options.rows} * layer.options.in_c * layer.options.out_c;
}

}  // namespace

Graph::Graph() : context_(static_cast<TfLiteContext*>(calloc(1, sizeof(TfLiteContext)))) {}

Graph::~Graph() {
  for (int i = 0; i < tensor_count_; ++i) {
    free(context_->tensors[i].dims);
    free(context_->tensors[i].data.data);
  }
  for (int i = 0; i < node_count_; ++i) {
    free(nodes_[i].options_memory);
    free(nodes_[i].inputs);
    free(nodes_[i].outputs);
  }
  for (int i = 0; i < context_->persistent_count; ++i) free(context_->persistent[i]);
  free(context_);
}

size_t Graph::Bytes(int tensor) const {
  const TfLiteEvalTensor& t = context_->tensors[tensor];
  size_t elements = 1;
  for (int i = 0; i < t.dims->size; ++i) {
    elements *= t.dims->data[i] > 0 ? static_cast<size_t>(t.dims->data[i]) : 0;
    if (elements > 1u << 26) return 1u << 26;
  }
  return elements * (t.type == kTfLiteInt8 ? 1 : t.type == kTfLiteInt16 ? 2 : 4);
}

bool Graph::Read(const uint8_t* bytes, size_t size, size_t most_bytes) {
  static const TfLiteType kTypes[] = {kTfLiteFloat32, kTfLiteInt32, kTfLiteInt8, kTfLiteInt16};
  constexpr int kMostDims = 6;
  Reader reader(bytes, size);
  const int tensors = reader.U16();
  const int nodes = reader.U16();
  if (tensors == 0 || tensors > kMostTensors || nodes > kMostNodes) return false;
  size_t total = 0;
  for (; tensor_count_ < tensors; ++tensor_count_) {
    TfLiteEvalTensor* tensor = &context_->tensors[tensor_count_];
    tensor->type = kTypes[reader.U8() % 4];
    constant_[tensor_count_] = reader.U8() % 2 != 0;
    const int rank = reader.U8() % (kMostDims + 1);
    tensor->dims = NewIntArray(rank);
    for (int i = 0; i < rank; ++i) tensor->dims->data[i] = reader.I16();
    total += Bytes(tensor_count_);
    if (total > most_bytes) return ++tensor_count_, false;
  }
  for (; node_count_ < nodes; ++node_count_) {
    Node* node = &nodes_[node_count_];
    memset(node, 0, sizeof *node);
    node->op = OpOf(reader.U8());
    node->length = reader.U16() % 8192;
    // As in a .tflite file: exactly so many bytes, and aligned to four bytes but not to eight.
    node->options_memory = static_cast<char*>(malloc(node->length + 4));
    node->options = node->options_memory + 4;
    for (uint32_t i = 0; i < node->length; ++i) node->options[i] = static_cast<char>(reader.U8());
    const int inputs = reader.U8();
    const int outputs = reader.U8();
    node->inputs = NewIntArray(inputs);
    node->outputs = NewIntArray(outputs);
    // TFLM checks that indices are in range.
    for (int i = 0; i < inputs + outputs; ++i) {
      const int index = reader.I16();
      int* place = i < inputs ? &node->inputs->data[i] : &node->outputs->data[i - inputs];
      *place = index < 0 ? -1 : index % tensors;
    }
    node->node = TfLiteNode{node->inputs, node->outputs, nullptr, nullptr};
  }
  return true;
}

void Graph::SetRole(const TfLiteIntArray* tensors, int position, Role role) {
  if (position >= tensors->size) return;
  const int tensor = tensors->data[position];
  if (tensor < 0 || roles_[tensor] != kActivation) return;
  roles_[tensor] = role;
  if (role == kState) state_ = tensor;
  if (role == kLabel) label_ = tensor;
}

void Graph::FindRoles() {
  for (int i = 0; i < tensor_count_; ++i) roles_[i] = constant_[i] ? kConstant : kActivation;
  for (int i = 0; i < node_count_; ++i) {
    const Node& node = nodes_[i];
    if (!node.prepared) continue;
    if (IsOp(node.op, "TFODL_SEED")) {
      SetRole(node.inputs, 0, kState);
      for (int j = 1; j < node.inputs->size; ++j) SetRole(node.inputs, j, kVariable);
    }
    const bool binary = IsOp(node.op, "TFODL_LOGISTIC_XENT");
    const bool squared = IsOp(node.op, "TFODL_SQUARED_ERROR");
    if (binary || squared || IsOp(node.op, "TFODL_SOFTMAX_XENT")) {
      SetRole(node.inputs, 1, kLabel);
      SetRole(node.inputs, 2, kState);
      classes_ = binary ? 2 : squared ? 1 : static_cast<int32_t>(Bytes(node.inputs->data[0]));
    }
    for (int j = 0; j < node.outputs->size; ++j) SetRole(node.outputs, j, kResult);
  }
}

int Graph::Prepare(Random* random) {
  for (int i = 0; i < tensor_count_; ++i) {
    if (!constant_[i]) continue;
    const size_t bytes = Bytes(i);
    int8_t* data = static_cast<int8_t*>(malloc(bytes + (bytes == 0)));
    for (size_t j = 0; j < bytes; ++j) data[j] = static_cast<int8_t>(random->Int(-127, 127));
    context_->tensors[i].data.data = data;
  }
  int refused = 0;
  for (int i = 0; i < node_count_; ++i) {
    Node* node = &nodes_[i];
    const Registration op = RegistrationOf(node->op);
    node->node.user_data = op.init(context_, node->options, node->length);
    node->prepared = op.prepare(context_, &node->node) == kTfLiteOk;
    refused += !node->prepared;
  }
  for (int i = 0; i < tensor_count_; ++i) {
    if (!constant_[i]) context_->tensors[i].data.data = calloc(1, Bytes(i) + (Bytes(i) == 0));
  }
  FindRoles();
  return refused;
}

void Graph::NewSample(Random* random) {
  for (int i = 0; i < tensor_count_; ++i) {
    if (roles_[i] == kLabel) *label() = random->Int(0, classes_ - 1);
    if (roles_[i] != kActivation) continue;
    const size_t bytes = Bytes(i);
    void* data = context_->tensors[i].data.data;
    if (context_->tensors[i].type == kTfLiteFloat32) {
      for (size_t j = 0; j < bytes / 4; ++j) static_cast<float*>(data)[j] = random->Float(-1, 1);
    } else {
      for (size_t j = 0; j < bytes; ++j) static_cast<int8_t*>(data)[j] = random->Int8();
    }
  }
}

void Graph::Disturb(Random* random) {
  for (int i = 0; i < tensor_count_; ++i) {
    const TfLiteType type = context_->tensors[i].type;
    if (constant_[i] || (type != kTfLiteFloat32 && type != kTfLiteInt16)) continue;
    void* const data = context_->tensors[i].data.data;
    const bool wild = random->Chance(20);
    const int32_t zeros = random->Int(0, 90);
    for (size_t j = 0; j < Bytes(i) / (type == kTfLiteFloat32 ? 4 : 2); ++j) {
      const float value =
          random->Chance(zeros) ? 0.0f : wild ? random->AnyFloat() : random->Float(-1, 1);
      if (type == kTfLiteFloat32) {
        static_cast<float*>(data)[j] = value;
      } else {
        StoreError(value, static_cast<Bfloat16*>(data) + j);
      }
    }
  }
  State* s = state();
  if (s == nullptr) return;
  s->active = 1;
  s->learning_rate = random->AnyFloat();
  s->rate_factor = random->AnyFloat();
  s->alpha_max = random->AnyFloat();
  for (size_t i = kStateWords; i < Bytes(state_) / 4; ++i) {
    YMax(s)[i - kStateWords] = random->AnyFloat();
  }
}

uint64_t Graph::Work(int index) const {
  const Node& node = nodes_[index];
  const uint8_t* blob = reinterpret_cast<const uint8_t*>(node.options);
  if (IsOp(node.op, "TFODL_FULLY_CONNECTED_BWD")) {
    return WorkOfLayer(blob, node.length, LayerKind::kFullyConnected);
  }
  if (IsOp(node.op, "TFODL_CONV_2D_BWD")) {
    return WorkOfLayer(blob, node.length, LayerKind::kConv2D);
  }
  if (IsOp(node.op, "TFODL_DEPTHWISE_CONV_2D_BWD")) {
    return WorkOfLayer(blob, node.length, LayerKind::kDepthwiseConv2D);
  }
  if (IsOp(node.op, "TFODL_FULLY_CONNECTED")) return WorkOfFullyConnected(blob, node.length);
  if (IsOp(node.op, "TFODL_CONV_2D")) {
    return WorkOfConvolution(blob, node.length, LayerKind::kConv2D);
  }
  if (IsOp(node.op, "TFODL_DEPTHWISE_CONV_2D")) {
    return WorkOfConvolution(blob, node.length, LayerKind::kDepthwiseConv2D);
  }
  PoolOptions pool;
  if (strstr(NameOf(node.op), "POOL") != nullptr && ParsePool(blob, node.length, &pool)) {
    return uint64_t{pool.out_h} * pool.out_w * pool.in_c * pool.filter_h * pool.filter_w;
  }
  return 0;
}

bool Graph::IsSeed(int node) const { return IsOp(nodes_[node].op, "TFODL_SEED"); }

TfLiteStatus Graph::Invoke(int node) {
  return RegistrationOf(nodes_[node].op).invoke(context_, &nodes_[node].node);
}

State* Graph::state() {
  return state_ < 0 ? nullptr : static_cast<State*>(context_->tensors[state_].data.data);
}

int32_t* Graph::label() {
  return label_ < 0 ? nullptr : static_cast<int32_t*>(context_->tensors[label_].data.data);
}

uint32_t Graph::HashOfVariables() const {
  Hash hash;
  for (int i = 0; i < tensor_count_; ++i) {
    if (roles_[i] == kVariable) hash.Add(context_->tensors[i].data.data, Bytes(i));
  }
  return hash.value();
}

void Graph::AddTo(Hash* hash) const {
  for (int i = 0; i < tensor_count_; ++i) {
    if (!constant_[i]) hash->Add(context_->tensors[i].data.data, Bytes(i));
  }
}

}  // namespace test
}  // namespace tfodl
