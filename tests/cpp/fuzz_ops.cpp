// Random and broken nodes through Prepare and Invoke of every op, without TFLM: tensors that do not
// fit have to be refused, and what is accepted runs on memory of exactly the tensors' size.
//
// fuzz_ops SEED CASES      exit code 1 with a message when a check fails
#include <stdio.h>
#include <stdlib.h>

#include <memory>

#include "random_cases.h"
#include "tfodl/accumulate_options.h"
#include "tfodl/decision.h"
#include "tfodl/float_head_options.h"
#include "tfodl/join_options.h"
#include "tfodl/kernels/weight_changes.h"
#include "tfodl/layer_step.h"
#include "tfodl/loss_options.h"
#include "tfodl/ops/compat.h"
#include "tfodl/ops/register.h"
#include "tfodl/rate_options.h"
#include "tfodl/reselect_step.h"
#include "tfodl/session.h"

namespace tfodl {

// What TFLM's interpreter knows; here it is all that a context is.
struct TfLiteContext {
  std::vector<TfLiteEvalTensor> tensors;
  std::vector<std::vector<uint64_t>> allocations;
  bool out_of_memory = false;
};

TfLiteEvalTensor* EvalTensor(const TfLiteContext* context, int index) {
  return const_cast<TfLiteEvalTensor*>(&context->tensors[static_cast<size_t>(index)]);
}

void* AllocatePersistent(TfLiteContext* context, size_t bytes) {
  if (context->out_of_memory) return nullptr;
  context->allocations.emplace_back((bytes + 7) / 8);
  return context->allocations.back().data();
}

void Log(const char*, const char*) {}

namespace test {
namespace {

[[noreturn]] void Fail(const char* op, const char* what) {
  printf("FAILED: %s: %s\n", op, what);
  exit(1);
}

// TfLiteIntArray with its ints behind it.
class IntArray {
 public:
  explicit IntArray(const std::vector<int>& values) : words_(1 + values.size() + 1, 0) {
    words_[0] = static_cast<int>(values.size());
    for (size_t i = 0; i < values.size(); ++i) words_[1 + i] = values[i];
  }
  TfLiteIntArray* get() { return reinterpret_cast<TfLiteIntArray*>(words_.data()); }

 private:
  std::vector<int> words_;
};

struct Tensor {
  TfLiteType type;
  std::vector<int> shape;
  bool constant;

  bool IsAbsent() const { return shape.empty(); }
  // What memory it needs: none with a broken shape.
  size_t Bytes() const {
    size_t elements = 1;
    for (const int extent : shape) elements *= extent > 0 ? static_cast<size_t>(extent) : 0;
    return elements * (type == kTfLiteInt8 ? 1 : type == kTfLiteInt16 ? 2 : 4);
  }
};

const Tensor kAbsent = {kTfLiteInt8, {}, false};

Tensor Make(TfLiteType type, uint32_t elements) {
  return Tensor{type, {1, static_cast<int>(elements)}, false};
}

// An op of a model.
struct Node {
  int op = 0;
  Blob options;
  std::vector<Tensor> inputs;
  std::vector<Tensor> outputs;
  bool first_output_is_input = false;
  int32_t label = 0;
};

Node SeedNode(Random* random) {
  Node node;
  const uint32_t masks = random->Chance(50) ? random->Size(1, 4) : 0;
  const uint32_t n = random->Size(0, 4) + (masks > 0 ? 1 : 0);
  node.options = Pack(RandomSeedOptions(random, n, masks));
  node.inputs.push_back(Make(kTfLiteInt32, kStateWords + random->Size(0, 4)));
  for (uint32_t i = 0; i < n; ++i) {
    node.inputs.push_back(
        Make(random->Chance(50) ? kTfLiteInt8 : kTfLiteInt32, random->Size(1, 30)));
  }
  if (masks > 0) {
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < masks; ++i) {
      const uint32_t neurons = random->Size(1, 20);
      Append(&node.options, neurons);
      bytes += MaskBytes(neurons);
    }
    node.inputs[n] = Make(kTfLiteInt8, bytes);
  }
  for (uint32_t i = 0; i < n; ++i) {
    Tensor seed = node.inputs[1 + i];
    seed.constant = true;
    node.inputs.push_back(random->Chance(70) ? seed : kAbsent);
  }
  return node;
}

Node XentNode(Random* random) {
  Node node;
  const uint32_t classes = random->Size(1, 12);
  node.options = PackXent(RandomXentOptions(random));
  node.inputs = {Make(kTfLiteInt8, classes), Make(kTfLiteInt32, 1),
                 Make(kTfLiteInt32, kStateWords)};
  node.outputs = {Make(kTfLiteFloat32, classes), Make(kTfLiteFloat32, kReportFloats)};
  return node;
}

Node LayerNode(Random* random, LayerKind kind) {
  Node node;
  const LayerOptions o = RandomLayerOptions(random, kind);
  const uint32_t mask_offset = random->Size(0, 5);
  node.options = PackLayer(random, o, mask_offset);
  const uint32_t in = o.in_h * o.in_w * o.in_c;
  const uint32_t out = o.out_h * o.out_w * o.out_c;
  const bool updates = (o.flags & kUpdateWeights) != 0;
  const bool propagates = (o.flags & kPropagate) != 0;
  const bool bounded = o.act_min >= -128 || o.act_max <= 127;
  const bool accumulates = (o.flags & kAccumulate) != 0;
  const uint32_t rows =
      accumulates ? SummedNeurons(ReadLayer(node.options.data()), kind) : o.out_c;
  node.inputs = {
      Make(kTfLiteFloat32, out),
      Make(kTfLiteInt32, kStateWords + o.layer + 1),
      updates ? Make(kTfLiteInt8, in) : kAbsent,
      bounded || random->Chance(50) ? Make(kTfLiteInt8, out) : kAbsent,
      updates || propagates ? Make(kTfLiteInt8, FanIn(o, kind) * o.out_c) : kAbsent,
      (o.flags & kUpdateBias) != 0 ? Make(kTfLiteInt32, rows) : kAbsent,
      (o.flags & kResidual) != 0 ? Make(kTfLiteInt8, FanIn(o, kind) * o.out_c)
      : accumulates && updates   ? Make(kTfLiteInt8, 2 * FanIn(o, kind) * rows)
                                 : kAbsent,
  };
  node.inputs[4].constant = !updates;
  if ((o.flags & kVariableMask) != 0) {
    node.inputs.push_back(
        Make(kTfLiteInt8, mask_offset + MaskBytes(o.out_c) + random->Size(0, 3)));
  }
  if (propagates) node.outputs.push_back(Make(kTfLiteFloat32, in));
  if (updates && kind != LayerKind::kFullyConnected) {
    node.outputs.push_back(Make(kTfLiteFloat32, FanIn(o, kind)));
  }
  return node;
}

Node PoolNode(Random* random, bool max) {
  Node node;
  const PoolOptions o = RandomPoolOptions(random);
  node.options = Pack(o);
  const uint32_t in = o.in_h * o.in_w * o.in_c;
  const uint32_t out = o.out_h * o.out_w * o.in_c;
  const bool bounded = o.act_min >= -128 || o.act_max <= 127;
  node.inputs = {Make(kTfLiteFloat32, out), Make(kTfLiteInt32, kStateWords),
                 max ? Make(kTfLiteInt8, in) : kAbsent,
                 bounded ? Make(kTfLiteInt8, out) : kAbsent};
  node.outputs = {Make(kTfLiteFloat32, in)};
  return node;
}

Node AddNode(Random* random) {
  Node node;
  const uint32_t count = random->Size(1, 60);
  const bool bounded = random->Chance(50);
  const AddOptions options = {kAbiVersion, count, bounded ? random->Int(-129, 0) : -129,
                              bounded ? random->Int(1, 128) : 128};
  node.options = Pack(options);
  node.inputs = {Make(kTfLiteFloat32, count), Make(kTfLiteInt32, kStateWords),
                 Make(kTfLiteInt8, count)};
  if (random->Chance(50)) node.outputs = {Make(kTfLiteFloat32, count)};
  return node;
}

Node AddErrorsNode(Random* random) {
  Node node;
  const uint32_t count = random->Size(1, 60);
  const uint32_t version = kAbiVersion;
  node.options = Pack(version);
  node.inputs = {Make(kTfLiteFloat32, count), Make(kTfLiteInt32, kStateWords),
                 Make(kTfLiteFloat32, count)};
  return node;
}

Node WeightsNode(Random* random, bool loads) {
  Node node;
  const uint32_t count = random->Size(1, 60);
  const uint32_t version = kAbiVersion;
  node.options = Pack(version);
  const bool always = loads && random->Chance(50);
  node.inputs = {always ? kAbsent : Make(kTfLiteInt32, kStateWords),
                 Make(kTfLiteInt8, ChangesBytes(count)), Make(kTfLiteInt8, count)};
  node.inputs[2].constant = true;
  (loads ? node.outputs : node.inputs).push_back(Make(kTfLiteInt8, count));
  return node;
}

Node CropNode(Random* random) {
  Node node;
  const uint32_t in[] = {random->Size(1, 5), random->Size(1, 5), random->Size(1, 5)};
  const uint32_t first[] = {random->Size(0, 3), random->Size(0, 3), random->Size(0, 3)};
  uint32_t out[3];
  for (int i = 0; i < 3; ++i) out[i] = first[i] + in[i] + random->Size(0, 3);
  const CropOptions options = {kAbiVersion, in[0],    in[1],    in[2],   out[0],
                               out[1],      out[2],   first[0], first[1], first[2]};
  node.options = Pack(options);
  node.inputs = {Make(kTfLiteFloat32, out[0] * out[1] * out[2]), Make(kTfLiteInt32, kStateWords)};
  node.outputs = {Make(kTfLiteFloat32, in[0] * in[1] * in[2])};
  return node;
}

Blob RandomLossOptions(Random* random) {
  const LossOptions options = {kAbiVersion, 0.01f * static_cast<float>(random->Int(1, 50)),
                               random->Int(-128, 127),
                               0.01f * static_cast<float>(random->Int(1, 50)),
                               random->Int(-128, 127),
                               {static_cast<uint32_t>(random->Int(0, 1)), 0.0f, 1.0f, 1.0f, 0.5f}};
  return Pack(options);
}

Node LogisticNode(Random* random) {
  Node node;
  node.options = RandomLossOptions(random);
  node.inputs = {Make(kTfLiteInt8, 1), Make(kTfLiteInt32, 1), Make(kTfLiteInt32, kStateWords)};
  node.outputs = {Make(kTfLiteFloat32, 1), Make(kTfLiteFloat32, kReportFloats)};
  return node;
}

Node SquaredErrorNode(Random* random) {
  Node node;
  const uint32_t count = random->Size(1, 20);
  node.options = RandomLossOptions(random);
  node.inputs = {Make(kTfLiteInt8, count), Make(kTfLiteInt32, 1),
                 Make(kTfLiteInt32, kStateWords),
                 Make(random->Chance(50) ? kTfLiteInt8 : kTfLiteFloat32, count)};
  node.outputs = {Make(kTfLiteFloat32, count), Make(kTfLiteFloat32, kReportFloats)};
  return node;
}

Node RateNode(Random* random) {
  Node node;
  const RateOptions options = {
      kAbiVersion,         random->Size(0, 2),  random->Size(1, 9),
      random->Size(0, 9),  random->Float(0, 1),
      random->Chance(50) ? 0.0f : random->Float(0, 2)};
  node.options = Pack(options);
  node.inputs = {Make(kTfLiteInt32, kStateWords), Make(kTfLiteFloat32, kReportFloats)};
  return node;
}

Node ReselectNode(Random* random) {
  Node node;
  const uint32_t n = random->Size(1, 4);
  const uint32_t references = random->Chance(70) ? random->Size(1, 5) : 0;
  const ReselectOptions options = {
      kAbiVersion,        references > 0 ? kFastestNeurons : kRandomNeurons,
      random->Size(1, 3), random->Size(1, 200),
      references,         random->Float(0.0f, 1.0f),
      n};
  node.options = Pack(options);
  uint32_t neurons = 0;
  uint32_t bytes = 0;
  std::vector<Tensor> outputs;
  for (uint32_t i = 0; i < n; ++i) {
    const NeuronLayer layer = {random->Size(1, 20), random->Size(1, 30), random->Int(-128, 127)};
    Append(&node.options, layer);
    neurons += layer.neurons;
    bytes += MaskBytes(layer.neurons);
    outputs.push_back(Make(kTfLiteInt8, layer.neurons * random->Size(1, 6)));
  }
  node.inputs = {Make(kTfLiteInt32, kStateWords), Make(kTfLiteInt8, bytes), Make(kTfLiteInt32, 1)};
  if (references > 0) {
    node.inputs.push_back(Make(kTfLiteInt32, 2 + 3 * neurons));
    node.inputs.push_back(Make(kTfLiteInt8, 2 * neurons * references));
    node.inputs.push_back(Make(kTfLiteInt8, references * random->Size(1, 9)));
    node.inputs.back().constant = true;
    node.inputs.insert(node.inputs.end(), outputs.begin(), outputs.end());
  }
  return node;
}

Node AccumulateNode(Random* random) {
  Node node;
  const uint32_t n = random->Size(1, 3);
  const AccumulateOptions options = {kAbiVersion, random->Size(1, 3), random->Size(0, 1), n};
  node.options = Pack(options);
  node.inputs = {Make(kTfLiteInt32, kStateWords), Make(kTfLiteInt32, 1)};
  for (uint32_t i = 0; i < n; ++i) {
    const SummedLayer layer = {random->Size(1, 40), random->Size(1, 20), random->Size(0, 1)};
    Append(&node.options, layer);
    uint32_t rows = layer.neurons;
    if (layer.masked != 0) {
      rows = 0;
      for (uint32_t first = 0; first < layer.neurons; first += 32) {
        const uint32_t bits = random->Bits() | 1;
        Append(&node.options, bits);
        for (uint32_t j = first; j < layer.neurons && j < first + 32; ++j) {
          rows += bits >> (j - first) & 1;
        }
      }
    }
    const bool weights = random->Chance(70);
    const bool bias = random->Chance(70);
    node.inputs.push_back(weights ? Make(kTfLiteInt8, layer.neurons * layer.fan_in) : kAbsent);
    node.inputs.push_back(weights ? Make(kTfLiteInt8, 2 * rows * layer.fan_in) : kAbsent);
    node.inputs.push_back(bias ? Make(kTfLiteInt32, layer.neurons) : kAbsent);
    node.inputs.push_back(bias ? Make(kTfLiteInt32, rows) : kAbsent);
  }
  return node;
}

Node FloatHeadNode(Random* random) {
  Node node;
  const uint32_t in = random->Size(1, 12);
  const uint32_t out = random->Size(1, 9);
  const uint32_t factors = random->Chance(50) ? 1 : out;
  const FloatHeadOptions options = {kAbiVersion, random->Int(-128, 127), random->Int(-128, 127),
                                    factors};
  node.options = Pack(options);
  for (uint32_t i = 0; i < factors; ++i) Append(&node.options, random->Float(0.001f, 0.1f));
  node.inputs = {Make(kTfLiteInt8, in), Make(kTfLiteFloat32, in * out), Make(kTfLiteFloat32, out)};
  node.outputs = {Make(kTfLiteInt8, out), Make(kTfLiteFloat32, in)};
  return node;
}

Node FloatHeadBackwardNode(Random* random) {
  Node node;
  LayerOptions o = RandomLayerOptions(random, LayerKind::kFullyConnected);
  o.flags = kUpdateWeights | kUpdateBias | (o.flags & (kPropagate | kMasked));
  node.options = PackLayer(random, o);
  node.inputs = {Make(kTfLiteFloat32, o.out_c), Make(kTfLiteInt32, kStateWords + o.layer + 1),
                 Make(kTfLiteInt8, o.in_c),     Make(kTfLiteInt8, o.out_c),
                 Make(kTfLiteFloat32, o.in_c * o.out_c), Make(kTfLiteFloat32, o.out_c)};
  if ((o.flags & kPropagate) != 0) node.outputs.push_back(Make(kTfLiteFloat32, o.in_c));
  node.outputs.push_back(Make(kTfLiteFloat32, o.in_c));
  return node;
}

Node ConvNode(Random* random, LayerKind kind) {
  Node node;
  ConvOptions o = RandomConvOptions(random, kind);
  const bool in_place = kind == LayerKind::kDepthwiseConv2D && random->Chance(40);
  if (in_place) {
    o.stride_h = o.stride_w = 1;
    o.out_h = o.in_h;
    o.out_w = o.in_w;
    o.out_c = o.y_c = o.in_c;
    o.first_c = 0;
  }
  node.options = PackConv(random, o);
  node.first_output_is_input = in_place;
  const bool constant = random->Chance(60);
  node.inputs = {Make(kTfLiteInt8, o.in_h * o.in_w * o.in_c),
                 Make(kTfLiteInt8, FanIn(o, kind) * o.out_c),
                 random->Chance(80) ? Make(kTfLiteInt32, o.out_c) : kAbsent};
  node.inputs[1].constant = constant;
  if (!node.inputs[2].IsAbsent()) node.inputs[2].constant = constant;
  node.outputs = {Make(kTfLiteInt8, o.out_h * o.out_w * o.y_c)};
  if (kind == LayerKind::kConv2D) {
    node.outputs.push_back(Make(kTfLiteFloat32, ConvScratchWords(o)));
  } else if (in_place) {
    node.outputs.push_back(Make(kTfLiteFloat32, InPlaceScratchWords(o)));
  }
  return node;
}

Node FullyConnectedNode(Random* random) {
  Node node;
  const FullyConnectedOptions o = RandomFullyConnectedOptions(random);
  node.options = PackFullyConnected(random, o);
  const bool constant = random->Chance(60);
  node.inputs = {Make(kTfLiteInt8, o.rows * o.in_c), Make(kTfLiteInt8, o.in_c * o.out_c),
                 random->Chance(80) ? Make(kTfLiteInt32, o.out_c) : kAbsent};
  node.inputs[1].constant = constant;
  if (!node.inputs[2].IsAbsent()) node.inputs[2].constant = constant;
  node.outputs = {Make(kTfLiteInt8, o.rows * o.out_c)};
  return node;
}

// The ops that are registered by themselves come after the others, then those with bfloat16 errors.
constexpr int kFirstBfloat16 = kOpCount + kSeparateOpCount;
constexpr int kAllOps = kFirstBfloat16 + kBfloat16OpCount;

const char* Name(int op) {
  if (op >= kFirstBfloat16) return Bfloat16OpName(op - kFirstBfloat16);
  return op < kOpCount ? OpName(op) : SeparateOpName(op - kOpCount);
}

Registration RegistrationAt(int op) {
  if (op >= kFirstBfloat16) return Bfloat16OpRegistration(op - kFirstBfloat16);
  return op < kOpCount ? OpRegistration(op) : SeparateOpRegistration(op - kOpCount);
}

// The op with float errors. The two lists have the same order, but for TFODL_SEED.
int WithFloats(int op) { return op < kFirstBfloat16 ? op : op - kFirstBfloat16 + 1; }

// With the state as their first input; the float head has none, its backward op has it second.
bool HasStateFirst(int op) {
  return op == 0 || (op >= kOpCount && op < kOpCount + kFloatHead) ||
         op == kOpCount + kLoadingWeights || op == kOpCount + kStoringWeights;
}
bool IsReselect(int op) { return op == kOpCount + kReselection; }

bool IsLoss(int op) { return op == 1 || op == 10 || op == 11; }

LayerKind KindOf(int op) {
  return op == 2   ? LayerKind::kFullyConnected
         : op == 3 ? LayerKind::kConv2D
                   : LayerKind::kDepthwiseConv2D;
}

// A node of `op`, which has float errors, with bfloat16 ones.
void ToBfloat16(int op, Node* node) {
  const bool is_layer = op >= 2 && op <= 4;
  if (is_layer) {
    const Layer layer = ReadLayer(node->options.data());
    const bool propagates = layer.Has(kPropagate);
    const uint32_t scratch = ScratchWords<Bfloat16>(layer, KindOf(op));
    node->outputs.resize(propagates ? 1 : 0, kAbsent);
    if (scratch > 0) node->outputs.push_back(Make(kTfLiteFloat32, scratch));
    if (propagates) node->outputs[0].type = kTfLiteInt16;
  } else if (!node->outputs.empty()) {
    node->outputs[0].type = kTfLiteInt16;
  }
  if (!IsLoss(op)) node->inputs[0].type = kTfLiteInt16;
  constexpr int kAddErrors = 8;
  if (op == kAddErrors) node->inputs[2].type = kTfLiteInt16;
}

Node RandomNode(Random* random, int op) {
  Node node;
  switch (WithFloats(op)) {
    case 0: node = SeedNode(random); break;
    case 1: node = XentNode(random); break;
    case 2:
    case 3:
    case 4: node = LayerNode(random, KindOf(WithFloats(op))); break;
    case 5: node = PoolNode(random, true); break;
    case 6: node = PoolNode(random, false); break;
    case 7: node = AddNode(random); break;
    case 8: node = AddErrorsNode(random); break;
    case 9: node = CropNode(random); break;
    case 10: node = LogisticNode(random); break;
    case 11: node = SquaredErrorNode(random); break;
    case kOpCount + kReselection: node = ReselectNode(random); break;
    case kOpCount + kRateSchedule: node = RateNode(random); break;
    case kOpCount + kAccumulation: node = AccumulateNode(random); break;
    case kOpCount + kFloatHead: node = FloatHeadNode(random); break;
    case kOpCount + kFloatHeadBackward: node = FloatHeadBackwardNode(random); break;
    case kOpCount + kFullyConnected: node = FullyConnectedNode(random); break;
    case kOpCount + kConvolution: node = ConvNode(random, LayerKind::kConv2D); break;
    case kOpCount + kDepthwiseConvolution:
      node = ConvNode(random, LayerKind::kDepthwiseConv2D);
      break;
    case kOpCount + kLoadingWeights: node = WeightsNode(random, true); break;
    default: node = WeightsNode(random, false);
  }
  if (op != WithFloats(op)) ToBfloat16(WithFloats(op), &node);
  node.op = op;
  node.label = random->Int(-1, 14);
  return node;
}

// One thing about the node is no longer right (now and then it still is).
void Break(Random* random, Node* node) {
  std::vector<Tensor>* list = node->outputs.empty() || random->Chance(70) ? &node->inputs
                                                                          : &node->outputs;
  const uint32_t last = static_cast<uint32_t>(list->size()) - 1;
  Tensor* tensor = &(*list)[random->Size(0, last)];
  static const TfLiteType kTypes[] = {kTfLiteFloat32, kTfLiteInt32, kTfLiteInt16, kTfLiteInt8};
  switch (random->Int(0, 7)) {
    case 0: tensor->type = kTypes[random->Int(0, 3)]; break;
    case 1: *tensor = kAbsent; break;
    case 2: tensor->constant = !tensor->constant; break;
    case 3: tensor->shape = {random->Int(1, 40)}; break;
    case 4: tensor->shape = {random->Int(-3, 0), random->Int(-3, 5)}; break;
    case 5: list->pop_back(); break;
    case 6: list->push_back(Make(kTypes[random->Int(0, 3)], random->Size(1, 9))); break;
    default: node->options = Corrupt(random, node->options);
  }
}

// A node in a context of its own, with what TFLM keeps for it.
class Run {
 public:
  Run(Random* random, const Node& node) : op_(node.op), registration_(RegistrationAt(node.op)) {
    const std::vector<int> inputs = Add(random, node.inputs);
    std::vector<int> outputs = Add(random, node.outputs);
    if (node.first_output_is_input && !outputs.empty() && !inputs.empty()) outputs[0] = inputs[0];
    node_.reset(new Arrays(inputs, outputs));
    tensors_inputs_ = inputs;
    // Exactly as many bytes as the options have, so that a longer read is found.
    options_.reset(new char[node.options.size()]);
    for (size_t i = 0; i < node.options.size(); ++i) {
      options_[i] = static_cast<char>(node.options[i]);
    }
    options_size_ = node.options.size();
  }

  bool Prepare(bool out_of_memory) {
    context_.out_of_memory = out_of_memory;
    node_->node.user_data = registration_.init(&context_, options_.get(), options_size_);
    return registration_.prepare(&context_, &node_->node) == kTfLiteOk;
  }

  // After preparation every tensor that is no constant gets its memory.
  TfLiteStatus Invoke(Random* random, int32_t label) {
    for (size_t i = 0; i < memories_.size(); ++i) {
      context_.tensors[i].data.data = memories_[i].get();
    }
    Fill(random, label);
    return registration_.invoke(&context_, &node_->node);
  }

 private:
  struct Arrays {
    Arrays(const std::vector<int>& in, const std::vector<int>& out) : inputs(in), outputs(out) {
      node = TfLiteNode{inputs.get(), outputs.get(), nullptr, nullptr};
    }
    IntArray inputs, outputs;
    TfLiteNode node;
  };

  std::vector<int> Add(Random* random, const std::vector<Tensor>& tensors) {
    std::vector<int> indices;
    for (const Tensor& tensor : tensors) {
      if (tensor.IsAbsent()) {
        indices.push_back(-1);
        continue;
      }
      indices.push_back(static_cast<int>(context_.tensors.size()));
      shapes_.emplace_back(new IntArray(tensor.shape));
      sizes_.push_back(tensor.Bytes());
      memories_.emplace_back(static_cast<uint8_t*>(malloc(tensor.Bytes() + (tensor.Bytes() == 0))),
                             free);
      for (size_t i = 0; i < tensor.Bytes(); ++i) {
        memories_.back().get()[i] = static_cast<uint8_t>(random->Int(0, 255));
      }
      TfLiteEvalTensor eval;
      eval.data.data = tensor.constant ? memories_.back().get() : nullptr;
      eval.dims = shapes_.back()->get();
      eval.type = tensor.type;
      context_.tensors.push_back(eval);
    }
    return indices;
  }

  // Numbers that a step would find: a state in use, an error, a label.
  void Fill(Random* random, int32_t label) {
    for (size_t i = 0; i < context_.tensors.size(); ++i) {
      void* const data = context_.tensors[i].data.data;
      const bool is_float = context_.tensors[i].type == kTfLiteFloat32;
      if (!is_float && context_.tensors[i].type != kTfLiteInt16) continue;
      const size_t size = is_float ? sizeof(float) : sizeof(Bfloat16);
      const std::vector<float> error = RandomError(random, static_cast<uint32_t>(sizes_[i] / size));
      for (size_t j = 0; j < error.size(); ++j) {
        if (is_float) {
          static_cast<float*>(data)[j] = error[j];
        } else {
          StoreError(error[j], static_cast<Bfloat16*>(data) + j);
        }
      }
    }
    const int op = WithFloats(op_);
    const int state_position = HasStateFirst(op) ? 0 : IsLoss(op) ? 2 : 1;
    const bool stateless = op_ == kOpCount + kFloatHead || op_ == kOpCount + kFullyConnected ||
                           op_ == kOpCount + kConvolution ||
                           op_ == kOpCount + kDepthwiseConvolution;
    if (stateless || tensors_inputs_[static_cast<size_t>(state_position)] < 0) return;
    StateMemory state(random, 0);
    const size_t index = static_cast<size_t>(tensors_inputs_[state_position]);
    memset(memories_[index].get(), 0, sizes_[index]);
    memcpy(memories_[index].get(), state.get(), sizeof(State));
    if (IsLoss(op)) memcpy(Memory(1), &label, 4);
    if (IsReselect(op_)) {
      const int32_t reference = random->Chance(50) ? kReferenceLabel : label;
      memcpy(Memory(2), &reference, 4);
      const VelocityRecord record = {random->Size(0, 5), random->Size(0, 3)};
      if (tensors_inputs_.size() > 3) memcpy(Memory(3), &record, sizeof record);
    }
  }

  void* Memory(size_t position) {
    return memories_[static_cast<size_t>(tensors_inputs_[position])].get();
  }

  int op_;
  Registration registration_;
  TfLiteContext context_;
  std::unique_ptr<Arrays> node_;
  std::vector<int> tensors_inputs_;
  std::unique_ptr<char[]> options_;
  size_t options_size_;
  std::vector<std::unique_ptr<IntArray>> shapes_;
  std::vector<size_t> sizes_;
  std::vector<std::unique_ptr<uint8_t, void (*)(void*)>> memories_;
};

int RunAll(uint32_t seed, uint32_t cases) {
  for (int op = 0; op < kAllOps; ++op) {
    uint32_t accepted = 0;
    uint32_t refused = 0;
    for (uint32_t i = 0; i < cases; ++i) {
      Random random(seed * 1000003u + i * kAllOps + static_cast<uint32_t>(op));
      Node node = RandomNode(&random, op);
      const bool intact = i % 3 == 0;
      const bool out_of_memory = i % 50 == 1;
      if (!intact) Break(&random, &node);
      Run run(&random, node);
      if (!run.Prepare(out_of_memory)) {
        if (intact && !out_of_memory) Fail(Name(op), "a good node was refused");
        ++refused;
        continue;
      }
      if (out_of_memory) Fail(Name(op), "prepared without memory");
      ++accepted;
      for (int step = 0; step < 2; ++step) run.Invoke(&random, node.label);
    }
    printf("%s: %u accepted %u refused\n", Name(op), accepted, refused);
  }
  return 0;
}

}  // namespace
}  // namespace test
}  // namespace tfodl

int main(int argc, char** argv) {
  if (argc != 3) return 3;
  return tfodl::test::RunAll(static_cast<uint32_t>(atoi(argv[1])),
                             static_cast<uint32_t>(atoi(argv[2])));
}
