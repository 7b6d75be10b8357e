// Trains a small network of every kind of layer for a fixed number of steps, then single layers of
// random shapes, and prints a hash of all that the steps have written. The same numbers have to
// come out on every platform, whatever instructions it has.
//
// There is no forward pass: the activations of each step are random.
#include <stdio.h>

#include "random_cases.h"
#include "tfodl/kernels/conv_2d.h"
#include "tfodl/kernels/depthwise_conv_2d.h"
#include "tfodl/kernels/fully_connected.h"
#include "tfodl/kernels/pool_2d_backward.h"
#include "tfodl/kernels/neuron_velocity.h"
#include "tfodl/kernels/update.h"
#include "tfodl/layer_step.h"
#include "tfodl/reselect_step.h"
#include "tfodl/xent_step.h"

namespace tfodl {
namespace test {
namespace {

constexpr int kSteps = 1000;
constexpr int kRandomLayers = 300;
constexpr int kUpdates = 3000;
constexpr int kReselections = 200;
constexpr int kConvolutions = 800;
constexpr int kFullyConnected = 400;
constexpr uint32_t kLayers = 4;
constexpr uint32_t kClasses = 5;

// FNV-1a.
class Hash {
 public:
  void Add(const void* data, size_t bytes) {
    const uint8_t* byte = static_cast<const uint8_t*>(data);
    for (size_t i = 0; i < bytes; ++i) value_ = (value_ ^ byte[i]) * 16777619u;
  }
  template <class T>
  void Add(const std::vector<T>& values) {
    Add(values.data(), values.size() * sizeof(T));
  }
  uint32_t value() const { return value_; }

 private:
  uint32_t value_ = 2166136261u;
};

struct Shape {
  uint32_t in_h, in_w, in_c, out_h, out_w, out_c, kernel, stride, pad;
};

LayerOptions Options(const Shape& s, uint32_t layer, uint32_t sparsifier, uint32_t flags) {
  LayerOptions o;
  memset(&o, 0, sizeof o);
  o.abi_version = kAbiVersion;
  o.flags = kUpdateWeights | kUpdateBias | flags;
  o.layer = layer;
  o.in_h = s.in_h;
  o.in_w = s.in_w;
  o.in_c = s.in_c;
  o.out_h = s.out_h;
  o.out_w = s.out_w;
  o.out_c = s.out_c;
  o.kernel_h = o.kernel_w = s.kernel;
  o.stride_h = o.stride_w = s.stride;
  o.pad_top = o.pad_left = s.pad;
  o.x_scale = 0.0235f;
  o.x_zero_point = -11;
  o.act_min = layer == 0 ? -128 : -129;
  o.act_max = 128;
  o.sparsifier = sparsifier;
  o.s_min = 0.3f;
  o.s_max = 0.9f;
  o.damping = 0.95f;
  o.n_scales = layer == 3 ? 1 : s.out_c;
  return o;
}

// A layer with its weights.
struct Trained {
  Trained(Random* random, LayerKind layer_kind, const LayerOptions& options)
      : kind(layer_kind), blob(PackLayer(random, options)) {
    if (!ParseLayer(blob.data(), static_cast<uint32_t>(blob.size()), kind, &layer)) {
      printf("FAILED: a layer was refused\n");
    }
    weights = RandomInt8(random, FanIn(options, kind) * options.out_c, -127);
    bias = RandomInt32(random, options.out_c);
    if (layer.Has(kResidual)) residual.resize(weights.size());
    if (layer.Has(kAccumulate)) {
      residual.resize(2 * SummedNeurons(layer, kind) * FanIn(options, kind));
    }
    error_x.resize(layer.InputCount());
    scratch.resize(FanIn(options, kind));
  }

  void Step(Random* random, std::vector<float>* error, State* state) {
    const std::vector<int8_t> x = RandomInt8(random, layer.InputCount());
    const std::vector<int8_t> y = RandomInt8(random, layer.OutputCount());
    LayerTensors tensors = {};
    tensors.error = error->data();
    tensors.x = x.data();
    tensors.y = y.data();
    tensors.weights = weights.data();
    tensors.bias = bias.data();
    tensors.error_x = error_x.data();
    tensors.scratch = scratch.data();
    tensors.residual = residual.size() > 0 ? residual.data() : nullptr;
    LayerStep(layer, kind, tensors, state);
  }

  LayerKind kind;
  Blob blob;
  Layer layer;
  std::vector<int8_t> weights;
  std::vector<int32_t> bias;
  std::vector<float> error_x;
  std::vector<int32_t> scratch;
  std::vector<int8_t> residual;
};

// Steps of layers that together take every path of the kernels: channels and rows that are and are
// not multiples of four and eight, all paddings, masks and sparsifiers, small and huge steps.
void RunRandomLayers(Random* random, Hash* hash) {
  for (int i = 0; i < kRandomLayers; ++i) {
    const LayerKind kind = static_cast<LayerKind>(random->Int(0, 2));
    LayerOptions options = RandomLayerOptions(random, kind);
    options.flags &= ~static_cast<uint32_t>(kVariableMask);  // without the tensor
    options.in_c = random->Size(1, 21);
    options.out_c = random->Size(1, 13);
    if (kind == LayerKind::kDepthwiseConv2D) options.out_c = options.in_c * random->Size(1, 2);
    if (options.n_scales > 1) options.n_scales = options.out_c;
    Trained layer(random, kind, options);
    StateMemory memory(random, kLayers);
    memory.get()->learning_rate *= random->Chance(50) ? 0.01f : 1.0f;
    for (int step = 0; step < 2; ++step) {
      memory.get()->active = 1;
      std::vector<float> error = RandomError(random, layer.layer.OutputCount());
      layer.Step(random, &error, memory.get());
    }
    hash->Add(layer.weights);
    hash->Add(layer.residual);
    hash->Add(layer.bias);
    hash->Add(layer.error_x);
    hash->Add(memory.get(), (kStateWords + kLayers) * sizeof(uint32_t));
  }
}

// Updates alone, of gradients and factors of every size: what is clipped, what rounds by a hair.
void RunUpdates(Random* random, bool residual, Hash* hash) {
  std::vector<int8_t> weights = RandomInt8(random, 67, -127);
  const uint32_t count = static_cast<uint32_t>(weights.size());
  std::vector<int8_t> residuals(count);
  WeightUpdater updater(random->Bits(), weights.data(), residual ? residuals.data() : nullptr);
  std::vector<int32_t> gradient(count);
  StepScale scales[4];
  for (int i = 0; i < kUpdates; ++i) {
    for (int32_t& sum : gradient) sum = static_cast<int32_t>(random->Bits()) >> random->Int(0, 24);
    for (StepScale& scale : scales) {
      scale = MakeStepScale(FloatFromBits(0x2c000000u + random->Bits() % 0x0e000000u));
    }
    updater.UpdateRow(0, gradient.data(), scales[0], count);
    updater.UpdateFour(0, gradient.data(), scales, 4);
    const std::vector<int8_t> x = RandomInt8(random, count);
    const int32_t zero_point = random->Int(-128, 127);
    const float factor = FloatFromBits(random->Bits() & 0x41ffffff);
    updater.UpdateOuter(0, x.data(), zero_point, factor, count);
    hash->Add(weights);
    hash->Add(residuals);
  }
  const uint32_t state[] = {updater.rng(), updater.saturated()};
  hash->Add(state, sizeof state);
}

// Neurons chosen anew, by either rule, from layers of random sizes whose outputs drift.
void RunReselections(Random* random, Hash* hash) {
  for (int i = 0; i < kReselections; ++i) {
    const bool fastest = i % 2 == 1;
    const uint32_t n = random->Size(1, 4);
    const uint32_t references = fastest ? random->Size(1, 8) : 0;
    const ReselectOptions options = {kAbiVersion, fastest ? kFastestNeurons : kRandomNeurons,
                                     1,           random->Size(1, 600),
                                     references,  0.5f,
                                     n};
    Blob blob = Pack(options);
    for (uint32_t layer = 0; layer < n; ++layer) {
      Append(&blob, NeuronLayer{random->Size(1, 20), random->Size(1, 30), random->Int(-128, 127)});
    }
    Reselection reselection;
    if (!ParseReselect(blob.data(), static_cast<uint32_t>(blob.size()), &reselection)) {
      printf("FAILED: a reselection was refused\n");
      return;
    }
    std::vector<uint8_t> masks(reselection.mask_bytes);
    std::vector<uint32_t> velocity(VelocityWords(reselection));
    std::vector<int8_t> outputs(2 * reselection.neurons * references);
    const ReselectTensors tensors = {masks.data(), velocity.data(), outputs.data()};
    StateMemory memory(random, 0);
    std::vector<int8_t> y = RandomInt8(random, 6 * reselection.neurons);
    for (uint32_t step = 0; step < 4 * (references + 1); ++step) {
      const bool labelled = step % (references + 1) == 0;
      memory.get()->samples += labelled;
      y[random->Size(0, static_cast<uint32_t>(y.size()) - 1)] ^= 0x15;
      int8_t* means = ReselectStep(reselection, labelled ? 0 : kReferenceLabel, tensors,
                                   memory.get());
      if (means == nullptr) continue;
      MeanOfMaps(y.data(), 6, reselection.neurons, means, references);
      FinishObservation(reselection, tensors, memory.get());
    }
    hash->Add(masks);
    hash->Add(velocity);
    hash->Add(memory.get(), kStateWords * sizeof(uint32_t));
  }
}

// Forward convolutions of random shapes, with and without a bias, of any multiplier and shift.
void RunConvolutions(Random* random, Hash* hash) {
  for (int i = 0; i < kConvolutions; ++i) {
    const LayerKind kind = i % 2 == 0 ? LayerKind::kConv2D : LayerKind::kDepthwiseConv2D;
    const ConvOptions o = RandomConvOptions(random, kind);
    const Blob blob = PackConv(random, o);
    Conv conv;
    if (!ParseConv(blob.data(), static_cast<uint32_t>(blob.size()), kind, &conv)) {
      printf("FAILED: a convolution was refused\n");
      return;
    }
    const std::vector<int8_t> x = RandomInt8(random, o.in_h * o.in_w * o.in_c);
    const std::vector<int8_t> weights = RandomInt8(random, FanIn(o, kind) * o.out_c);
    const std::vector<int32_t> bias = RandomInt32(random, o.out_c);
    const int32_t* const added = random->Chance(80) ? bias.data() : nullptr;
    std::vector<int8_t> y(o.out_h * o.out_w * o.y_c);
    if (kind == LayerKind::kConv2D) {
      std::vector<int16_t> scratch(2 * ConvScratchWords(o));
      Conv2D(conv, x.data(), weights.data(), added, scratch.data(), y.data());
    } else {
      DepthwiseConv2D(conv, x.data(), weights.data(), added, y.data());
      if (CanWorkInPlace(o)) {
        std::vector<int8_t> scratch(4 * InPlaceScratchWords(o)), map = x;
        DepthwiseConv2DInPlace(conv, weights.data(), added, scratch.data(), map.data());
        if (memcmp(map.data(), y.data(), y.size()) != 0) {
          printf("FAILED: in place it is something else\n");
        }
      }
    }
    hash->Add(y);
  }
}

// Forward fully connected layers, likewise.
void RunFullyConnected(Random* random, Hash* hash) {
  for (int i = 0; i < kFullyConnected; ++i) {
    const FullyConnectedOptions o = RandomFullyConnectedOptions(random);
    const Blob blob = PackFullyConnected(random, o);
    FullyConnectedLayer layer;
    if (!ParseFullyConnected(blob.data(), static_cast<uint32_t>(blob.size()), &layer)) {
      printf("FAILED: a fully connected layer was refused\n");
      return;
    }
    const std::vector<int8_t> x = RandomInt8(random, o.rows * o.in_c);
    const std::vector<int8_t> weights = RandomInt8(random, o.in_c * o.out_c);
    const std::vector<int32_t> bias = RandomInt32(random, o.out_c);
    std::vector<int8_t> y(o.rows * o.out_c);
    FullyConnected(layer, x.data(), weights.data(), random->Chance(80) ? bias.data() : nullptr,
                   y.data());
    hash->Add(y);
    const int32_t product = DotProduct(x.data(), o.x_zero_point, weights.data(), o.in_c);
    hash->Add(&product, sizeof product);
  }
}

// A network with every kind of layer; rule: 0 or kResidual.
void RunNetwork(Random* random, uint32_t rule, Hash* hash) {
  Trained conv(random, LayerKind::kConv2D,
               Options({7, 7, 2, 7, 7, 4, 3, 1, 1}, 0, kTinyProp, rule | kMasked));
  Trained depthwise(random, LayerKind::kDepthwiseConv2D,
                    Options({7, 7, 4, 4, 4, 8, 3, 2, 1}, 1, kTinyProp, rule | kPropagate));
  Trained hidden(random, LayerKind::kFullyConnected,
                 Options({1, 1, 32, 1, 1, 12, 1, 1, 0}, 2, kMeProp, rule | kPropagate | kMasked));
  Trained output(random, LayerKind::kFullyConnected,
                 Options({1, 1, 12, 1, 1, kClasses, 1, 1, 0}, 3, kDense, rule | kPropagate));
  const PoolOptions average = {kAbiVersion, 4, 4, 8, 3, 3, 2, 2, 1, 1, 0, 0, -129, 128};
  const PoolOptions maximum = {kAbiVersion, 3, 3, 8, 2, 2, 2, 2, 1, 1, 0, 0, -129, 128};
  const Blob blob = PackXent({kAbiVersion, 0.031f, {kSkipTinyPropV2, 0.0f, 1.0f, 1.0f, 0.4f}});
  const Xent xent = ReadXent(blob.data());

  StateMemory memory(random, kLayers);
  State* state = memory.get();
  state->learning_rate = 0.02f;
  std::vector<float> error(kClasses), pooled(3 * 3 * 8), map(4 * 4 * 8);
  for (int step = 0; step < kSteps; ++step) {
    Report report;
    const std::vector<int8_t> logits = RandomInt8(random, kClasses);
    const int32_t label = random->Int(0, kClasses - 1);
    XentStep(xent, logits.data(), kClasses, label, state, error.data(), &report);
    hash->Add(&report, sizeof report);
    output.Step(random, &error, state);
    hidden.Step(random, &output.error_x, state);
    const std::vector<int8_t> x = RandomInt8(random, static_cast<uint32_t>(pooled.size()));
    Pool2DBackward(maximum, hidden.error_x.data(), x.data(), pooled.data());
    Pool2DBackward(average, pooled.data(), nullptr, map.data());
    depthwise.Step(random, &map, state);
    conv.Step(random, &depthwise.error_x, state);
    hash->Add(depthwise.error_x);
  }
  const Trained* const layers[] = {&conv, &depthwise, &hidden, &output};
  for (const Trained* layer : layers) {
    hash->Add(layer->weights);
    hash->Add(layer->residual);
    hash->Add(layer->bias);
  }
  hash->Add(state, (kStateWords + kLayers) * sizeof(uint32_t));
  printf("%u trained, %u skipped, %u saturated\n", static_cast<unsigned>(state->trained),
         static_cast<unsigned>(state->skipped), static_cast<unsigned>(state->saturated));
}

int Run() {
  Random random(2026);
  Hash hash;
  RunNetwork(&random, 0, &hash);
  RunNetwork(&random, kResidual, &hash);
  RunRandomLayers(&random, &hash);
  RunUpdates(&random, false, &hash);
  RunUpdates(&random, true, &hash);
  RunReselections(&random, &hash);
  RunConvolutions(&random, &hash);
  RunFullyConnected(&random, &hash);
  printf("hash %08x\n", static_cast<unsigned>(hash.value()));
  return 0;
}

}  // namespace
}  // namespace test
}  // namespace tfodl

int main() { return tfodl::test::Run(); }
