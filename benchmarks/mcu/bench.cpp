// Prints instruction counts, one "name value" per line. run.py builds it, runs it in QEMU and makes
// the tables.
#include <stdio.h>
#include <stdlib.h>

#include "counter.h"
#include "network.h"
#include "tfodl/accumulate_step.h"
#include "tfodl/kernels/delta.h"
#include "tfodl/kernels/float_head.h"
#include "tfodl/kernels/pool_2d_backward.h"
#include "tfodl/kernels/sparsify.h"
#include "tfodl/kernels/weight_changes.h"
#include "tfodl/random.h"

namespace bench {
namespace {

using tfodl::LayerKind;

constexpr uint32_t kSteps = 20;
constexpr uint32_t kSamples = kMostSamples;

void Print(const char* workload, const char* what, uint32_t value) {
  printf("%s.%s %lu\n", workload, what, static_cast<unsigned long>(value));
}

// -- stack ----------------------------------------------------------------------------------------

constexpr uint32_t kPaint = 0x5aa5c33cu;
constexpr uint32_t kPaintedWords = 1024;

// Bytes that the last step has taken below `frame`.
class Stack {
 public:
  __attribute__((noinline)) Stack() {
    frame_ = static_cast<uint32_t*>(__builtin_frame_address(0)) - 64;
    for (uint32_t i = 1; i <= kPaintedWords; ++i) *(frame_ - i) = kPaint;
  }
  __attribute__((noinline)) uint32_t Deepest() const {
    uint32_t words = kPaintedWords;
    while (words > 0 && *(frame_ - words) == kPaint) --words;
    return (words + 64) * 4;
  }

 private:
  volatile uint32_t* frame_;
};

// -- workloads ------------------------------------------------------------------------------------

struct Workload {
  const char* name;
  const LayerShape* layers;
  uint32_t count;
  Settings settings;
};

uint32_t ForwardMacs(const Workload& w) {
  uint32_t macs = 0;
  for (uint32_t i = 0; i < w.count; ++i) macs += ForwardMacs(w.layers[i]);
  return macs;
}

uint32_t BackwardMacs(const Workload& w) {
  uint32_t macs = 0;
  for (uint32_t i = 0; i < w.count; ++i) {
    macs += ForwardMacs(w.layers[i]) * (i > 0 || w.settings.input_error ? 2 : 1);
  }
  return macs;
}

// The mean of kSteps training steps without their forward pass.
uint32_t Backward(const Workload& w, const Settings& settings, const Method& method,
                  const char* learning) {
  Network network(w.layers, w.count, settings, method, settings.softmax ? kSamples : 1);
  if (learning != nullptr) {
    printf("%s.loss_before %.6f\n", w.name, static_cast<double>(network.MeanLoss()));
  }
  uint64_t sum = 0;
  for (uint32_t step = 0; step < kSteps; ++step) {
    const uint32_t sample = step % network.samples();
    network.Forward(sample);
    if (!settings.softmax) network.FillError();
    const Counter counter;
    network.Train(sample);
    sum += counter.Read();
  }
  if (learning != nullptr) {
    printf("%s.loss_after %.6f\n", w.name, static_cast<double>(network.MeanLoss()));
    const Stack stack;
    network.Train(0);
    Print(w.name, "stack", stack.Deepest());
  }
  return static_cast<uint32_t>(sum / kSteps);
}

// What comes after the forward pass where TinyPropv2 leaves a sample out: once the network has learned
// all of them so well that it does.
uint32_t Skipped(const Workload& w) {
  constexpr uint32_t kMostSteps = 2000;
  Network network(w.layers, w.count, w.settings, {tfodl::kDense, 1.0f, true, true}, kSamples);
  uint32_t step = 0;
  for (uint32_t skipped = 0; skipped < kSamples; ++step) {
    if (step == kMostSteps) {
      printf("FAILED: no sample is skipped\n");
      exit(1);
    }
    network.Forward(step % kSamples);
    network.Train(step % kSamples);
    skipped = network.report().trained == 0.0f ? skipped + 1 : 0;
  }
  uint64_t sum = 0;
  for (uint32_t sample = 0; sample < kSamples; ++sample) {
    network.Forward(sample);
    const Counter counter;
    network.Train(sample);
    sum += counter.Read();
  }
  return static_cast<uint32_t>(sum / kSamples);
}

void Run(const Workload& w) {
  const Settings& settings = w.settings;
  const Method dense = {tfodl::kDense, 1.0f, true, false};
  const Method every_layer = {tfodl::kTinyProp, 0.1f, true, false};
  const Method output_dense = {tfodl::kTinyProp, 0.1f, false, false};
  Print(w.name, "forward_macs", ForwardMacs(w));
  Print(w.name, "backward_macs", BackwardMacs(w));
  {
    Network network(w.layers, w.count, settings, dense, 1);
    const Counter forward;
    network.Forward(0);
    Print(w.name, "forward", forward.Read());
    const Counter inference;
    network.Infer(0);
    Print(w.name, "inference", inference.Read());
  }
  Print(w.name, "dense_backward", Backward(w, settings, dense, settings.softmax ? "" : nullptr));
  Settings linear = settings;
  linear.relu = linear.relu_at_end = false;
  Print(w.name, "all_errors_backward", Backward(w, linear, dense, nullptr));
  Print(w.name, "tinyprop_10_every_layer_backward", Backward(w, settings, every_layer, nullptr));
  if (!settings.softmax) return;
  Print(w.name, "tinyprop_10_backward", Backward(w, settings, output_dense, nullptr));
  Print(w.name, "skipped_backward", Skipped(w));
}

void RunWorkloads() {
  static const LayerShape w1[] = {Dense(64, 32), Dense(32, 10)};
  static const LayerShape w2[] = {Dense(784, 64), Dense(64, 10)};
  static const LayerShape w3[] = {Dense(561, 128), Dense(128, 64), Dense(64, 32), Dense(32, 16),
                                  Dense(16, 6)};
  static const LayerShape w4[] = {Conv(28, 1, 13, 8, 3, 2, 0), Conv(13, 8, 6, 16, 3, 2, 0),
                                  Dense(576, 10)};
  static const LayerShape ds_cnn[] = {
      {LayerKind::kDepthwiseConv2D, {25, 5, 64, 25, 5, 64, 3, 1, 1}},
      {LayerKind::kConv2D, {25, 5, 64, 25, 5, 64, 1, 1, 0}}};
  static const LayerShape mobilenetv2[] = {
      Conv(12, 16, 12, 96, 1, 1, 0),
      Depthwise(12, 12, 96, 1, 1),
      Conv(12, 96, 12, 16, 1, 1, 0)};
  const Workload workloads[] = {
      {"W1", w1, 2, {true, false, true, false, -1, 0.05f}},
      {"W2", w2, 2, {true, false, true, false, -128, 0.01f}},
      {"W3", w3, 5, {true, false, true, false, -1, 0.02f}},
      {"W4", w4, 3, {true, false, true, false, -128, 0.02f}},
      {"DS-CNN block", ds_cnn, 2, {true, true, false, true, -128, 0.01f}},
      {"MobileNetV2 block", mobilenetv2, 3, {true, false, false, true, -1, 0.01f}},
  };
  for (const Workload& workload : workloads) Run(workload);
}

// -- kernels --------------------------------------------------------------------------------------

// One part of one layer, every error not zero.
void RunKernel(const char* name, const LayerShape& shape, uint32_t flags) {
  const Settings settings = {false, false, false, true, -1, 0.01f};
  Network network(&shape, 1, settings, {tfodl::kDense, 1.0f, true, false}, 1);
  network.Keep(flags);
  network.Forward(0);
  network.FillError();
  const Counter counter;
  network.Train(0);
  const uint32_t spent = counter.Read();
  Print(name, "insn", spent);
  Print(name, "units", ForwardMacs(shape));
}

void RunKernels() {
  const struct {
    const char* name;
    LayerShape shape;
  } layers[] = {
      {"fully connected 128-64", Dense(128, 64)},
      {"fully connected 784-64", Dense(784, 64)},
      {"conv 3x3/2 1-8 28x28", Conv(28, 1, 13, 8, 3, 2, 0)},
      {"conv 3x3/2 8-16 13x13", Conv(13, 8, 6, 16, 3, 2, 0)},
      {"conv 3x3 SAME 16-16 12x12", Conv(12, 16, 12, 16, 3, 1, 1)},
      {"conv 1x1 64-64 10x10", Conv(10, 64, 10, 64, 1, 1, 0)},
      {"depthwise 3x3 SAME 64 10x10", Depthwise(10, 10, 64, 1, 1)},
      {"depthwise 3x3/2 SAME 64 10x10", Depthwise(10, 5, 64, 2, 0)},
  };
  for (const auto& layer : layers) {
    char name[96];
    snprintf(name, sizeof name, "kernel:%s:input gradient", layer.name);
    RunKernel(name, layer.shape, tfodl::kPropagate);
    snprintf(name, sizeof name, "kernel:%s:weight update", layer.name);
    RunKernel(name, layer.shape, tfodl::kUpdateWeights | tfodl::kUpdateBias);
  }
}

void RunPools() {
  Pool::Clear();
  uint32_t random = 1;
  const tfodl::PoolOptions options = {tfodl::kAbiVersion, 12, 12, 16, 6, 6, 2, 2, 2, 2, 0, 0,
                                      -129, 128};
  float* delta = Pool::Get<float>(6 * 6 * 16);
  int8_t* x = Pool::Get<int8_t>(12 * 12 * 16);
  float* error_x = Pool::Get<float>(12 * 12 * 16);
  for (uint32_t i = 0; i < 6 * 6 * 16; ++i) delta[i] = tfodl::NextUniform(&random) - 0.5f;
  for (uint32_t i = 0; i < 12 * 12 * 16; ++i) {
    x[i] = static_cast<int8_t>(tfodl::NextRandom(&random) >> 24);
  }
  const Counter maximum;
  tfodl::Pool2DBackward(options, delta, x, error_x);
  Print("kernel:max pool 2x2/2 12x12x16:input gradient", "insn", maximum.Read());
  Print("kernel:max pool 2x2/2 12x12x16:input gradient", "units", 12 * 12 * 16);
  const Counter average;
  tfodl::Pool2DBackward(options, delta, nullptr, error_x);
  Print("kernel:average pool 2x2/2 12x12x16:input gradient", "insn", average.Read());
  Print("kernel:average pool 2x2/2 12x12x16:input gradient", "units", 12 * 12 * 16);
}

void RunSparsifier() {
  constexpr uint32_t kCount = 2000;
  Pool::Clear();
  uint32_t random = 1;
  float* values = Pool::Get<float>(kCount);
  for (uint32_t i = 0; i < kCount; ++i) {
    values[i] = (tfodl::NextUniform(&random) - 0.5f) * tfodl::NextUniform(&random);
  }
  const float largest = tfodl::MaskError(nullptr, -129, 128, kCount, values).largest;
  const Counter counter;
  tfodl::KeepLargest(values, kCount, kCount / 10, largest);
  Print("kernel:top 10 % of 2000:selection", "insn", counter.Read());
  Print("kernel:top 10 % of 2000:selection", "units", kCount);
}

void PrintKernel(const char* name, uint32_t instructions, uint32_t units) {
  printf("kernel:%s.insn %lu\nkernel:%s.units %lu\n", name,
         static_cast<unsigned long>(instructions), name, static_cast<unsigned long>(units));
}

void RunFloatHead() {
  constexpr uint32_t kInputs = 64;
  constexpr uint32_t kOutputs = 10;
  Pool::Clear();
  uint32_t random = 1;
  int8_t* x = Pool::Get<int8_t>(kInputs);
  int8_t* y = Pool::Get<int8_t>(kOutputs);
  float* centered = Pool::Get<float>(kInputs);
  float* weights = Pool::Get<float>(kInputs * kOutputs);
  float* bias = Pool::Get<float>(kOutputs);
  float* delta = Pool::Get<float>(kOutputs);
  float* error_x = Pool::Get<float>(kInputs);
  for (uint32_t i = 0; i < kInputs; ++i) x[i] = static_cast<int8_t>(tfodl::NextRandom(&random));
  for (uint32_t i = 0; i < kInputs * kOutputs; ++i) weights[i] = tfodl::NextUniform(&random) - 0.5f;
  for (uint32_t i = 0; i < kOutputs; ++i) delta[i] = tfodl::NextUniform(&random) - 0.5f;
  const float factor = 0.01f;
  const tfodl::FloatHead head = {{tfodl::kAbiVersion, 0, 0, 1},
                                 reinterpret_cast<const uint8_t*>(&factor)};
  const Counter forward;
  tfodl::CenterInputs(x, 0, kInputs, centered);
  tfodl::FloatHeadForward(head, centered, kInputs, kOutputs, weights, bias, y);
  PrintKernel("float head 64-10:forward", forward.Read(), kInputs * kOutputs);
  tfodl::Layer layer = {};
  layer.options.in_c = kInputs;
  layer.options.out_c = kOutputs;
  layer.options.n_scales = 1;
  layer.options.x_scale = 0.02f;
  layer.scales = reinterpret_cast<const uint8_t*>(&factor);
  const Counter backward;
  tfodl::CenterInputs(x, 0, kInputs, centered);
  tfodl::FloatHeadBackward(layer, 0.001f, delta, {centered, weights, bias, error_x});
  PrintKernel("float head 64-10:backward", backward.Read(), 2 * kInputs * kOutputs);
}

void RunAccumulation() {
  constexpr uint32_t kWeights = 128 * 64;
  Pool::Clear();
  uint32_t random = 1;
  int8_t* weights = Pool::Get<int8_t>(kWeights);
  int8_t* sums = Pool::Get<int8_t>(2 * kWeights);
  tfodl::State* state = reinterpret_cast<tfodl::State*>(Pool::Get<uint32_t>(tfodl::kStateWords));
  state->rng = 1;
  for (uint32_t i = 0; i < kWeights; ++i) sums[i] = i % 4 == 0 ? 1 : 0;
  for (uint32_t i = kWeights; i < 2 * kWeights; ++i) {
    sums[i] = static_cast<int8_t>(tfodl::NextRandom(&random));
  }
  const tfodl::Sums layer = {{64, 128, 0}, nullptr, 64};
  const Counter applied;
  tfodl::ApplySums(layer, tfodl::kKeepRest, {weights, sums, nullptr, nullptr}, state);
  PrintKernel("sums of 128-64:applied", applied.Read(), kWeights);
}

void RunWeightChanges() {
  constexpr uint32_t kWeights = 128 * 64;
  Pool::Clear();
  uint32_t random = 1;
  int8_t* exported = Pool::Get<int8_t>(kWeights);
  int8_t* weights = Pool::Get<int8_t>(kWeights);
  int8_t* changes = Pool::Get<int8_t>(tfodl::ChangesBytes(kWeights));
  for (uint32_t i = 0; i < kWeights; ++i) {
    exported[i] = static_cast<int8_t>(tfodl::NextRandom(&random) >> 25);
  }
  const Counter loaded;
  tfodl::LoadWeights(changes, exported, kWeights, weights);
  PrintKernel("weights in flash 128-64:loaded", loaded.Read(), kWeights);
  const Counter kept;
  tfodl::StoreWeights(weights, exported, kWeights, changes, &random);
  PrintKernel("weights in flash 128-64:stored, none has moved", kept.Read(), kWeights);
  for (uint32_t i = 0; i < kWeights; ++i) {
    weights[i] = static_cast<int8_t>(exported[i] + 1 - i % 3);
  }
  const Counter stored;
  tfodl::StoreWeights(weights, exported, kWeights, changes, &random);
  PrintKernel("weights in flash 128-64:stored, two thirds have", stored.Read(), kWeights);
}

void RunCrossEntropy() {
  Pool::Clear();
  uint32_t random = 1;
  int8_t* logits = Pool::Get<int8_t>(10);
  float* error = Pool::Get<float>(10);
  tfodl::State* state = reinterpret_cast<tfodl::State*>(Pool::Get<uint32_t>(tfodl::kStateWords));
  for (uint32_t i = 0; i < 10; ++i) {
    logits[i] = static_cast<int8_t>(tfodl::NextRandom(&random) >> 24);
  }
  tfodl::Xent xent = MakeXent(0.03f, {tfodl::kSkipNever, 0.0f, 1.0f, 1.0f, 0.0f});
  tfodl::Report report;
  const Counter trained;
  tfodl::XentStep(xent, logits, 10, 3, state, error, &report);
  Print("kernel:softmax cross entropy 10:trained", "insn", trained.Read());
  Print("kernel:softmax cross entropy 10:trained", "units", 10);
  xent.options.skip.skip_rule = tfodl::kSkipTinyPropV2;
  xent.options.skip.threshold = 0.1f;
  for (uint32_t i = 0; i < 10; ++i) logits[i] = static_cast<int8_t>(i == 3 ? 127 : -50);
  const Counter skipped;
  tfodl::XentStep(xent, logits, 10, 3, state, error, &report);
  Print("kernel:softmax cross entropy 10:skipped", "insn", skipped.Read());
  Print("kernel:softmax cross entropy 10:skipped", "units", 10);
}

}  // namespace
}  // namespace bench

int main() {
  bench::RunWorkloads();
  bench::RunKernels();
  bench::RunPools();
  bench::RunSparsifier();
  bench::RunCrossEntropy();
  bench::RunFloatHead();
  bench::RunAccumulation();
  bench::RunWeightChanges();
  return 0;
}
