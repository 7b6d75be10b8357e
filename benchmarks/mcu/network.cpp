#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <initializer_list>

#include "tfodl/float_math.h"
#include "tfodl/kernels/conv_2d.h"
#include "tfodl/kernels/depthwise_conv_2d.h"
#include "tfodl/kernels/fully_connected.h"
#include "tfodl/random.h"

namespace bench {
namespace {

using tfodl::LayerKind;
using tfodl::LayerOptions;

constexpr uint32_t kPoolBytes = 212 * 1024;
alignas(8) uint8_t g_pool[kPoolBytes];
uint32_t g_used = 0;
uint32_t g_random = 1;

int32_t RandomInt(int32_t low, int32_t high) {
  const uint32_t bits = tfodl::NextRandom(&g_random) >> 8;
  return low + static_cast<int32_t>(bits % static_cast<uint32_t>(high - low + 1));
}

// Roughly normal, standard deviation 1.
float RandomNormal() {
  float sum = 0.0f;
  for (int i = 0; i < 12; ++i) sum += tfodl::NextUniform(&g_random);
  return sum - 6.0f;
}

float SquareRoot(float value) {
  float root = value > 1.0f ? value : 1.0f;
  for (int i = 0; i < 40; ++i) root = 0.5f * (root + value / root);
  return root;
}

uint32_t InputCount(const Map& map) { return map.in_h * map.in_w * map.in_c; }
uint32_t OutputCount(const Map& map) { return map.out_h * map.out_w * map.out_c; }

uint32_t FanIn(const LayerShape& shape) {
  const uint32_t window = shape.map.kernel * shape.map.kernel;
  return shape.kind == LayerKind::kDepthwiseConv2D ? window : window * shape.map.in_c;
}

}  // namespace

void Pool::Clear() {
  g_used = 0;
  g_random = 2463534242u;
}

void* Pool::Bytes(uint32_t bytes) {
  bytes = (bytes + 7) / 8 * 8;
  if (bytes > kPoolBytes - g_used) {
    printf("FAILED: the pool is too small\n");
    exit(1);
  }
  void* made = g_pool + g_used;
  g_used += bytes;
  memset(made, 0, bytes);
  return made;
}

tfodl::Xent MakeXent(float logits_scale, const tfodl::SkipSettings& skip) {
  float* const table = Pool::Get<float>(tfodl::kExponentials);
  for (uint32_t i = 0; i < tfodl::kExponentials; ++i) {
    table[i] = tfodl::ExpOfNonPositive(logits_scale * (static_cast<float>(i) - 255.0f));
  }
  return {{tfodl::kAbiVersion, logits_scale, skip}, reinterpret_cast<const uint8_t*>(table)};
}

LayerShape Conv(uint32_t in, uint32_t in_c, uint32_t out, uint32_t out_c, uint32_t kernel,
                uint32_t stride, uint32_t pad) {
  return {LayerKind::kConv2D, {in, in, in_c, out, out, out_c, kernel, stride, pad}};
}

LayerShape Depthwise(uint32_t in, uint32_t out, uint32_t channels, uint32_t stride, uint32_t pad) {
  return {LayerKind::kDepthwiseConv2D, {in, in, channels, out, out, channels, 3, stride, pad}};
}

uint32_t ForwardMacs(const LayerShape& shape) { return OutputCount(shape.map) * FanIn(shape); }

Network::Network(const LayerShape* shapes, uint32_t count, const Settings& settings,
                 const Method& method, uint32_t samples)
    : count_(count), settings_(settings), samples_(samples) {
  Pool::Clear();
  const uint32_t inputs = InputCount(shapes[0].map);
  uint32_t scratch = 0, largest = 0;
  for (uint32_t i = 0; i < count; ++i) {
    layers_[i].shape = shapes[i];
    const uint32_t words = (FanIn(shapes[i]) + 3) / 4 * 5;  // of any convolution: ConvScratchWords
    scratch = words > scratch ? words : scratch;
    for (const uint32_t size : {OutputCount(shapes[i].map), InputCount(shapes[i].map)}) {
      const bool has_error = i > 0 || settings.input_error || size == OutputCount(shapes[i].map);
      if (has_error && size > largest) largest = size;
    }
  }
  inputs_ = Pool::Get<int8_t>(inputs * samples);
  for (uint32_t i = 0; i < inputs * samples; ++i) {
    inputs_[i] = static_cast<int8_t>(RandomInt(-128, 127));
  }
  for (uint32_t i = 0; i < count; ++i) Build(&layers_[i], i, method, i > 0 || settings.input_error);
  windows_ = Pool::Get<int16_t>(2 * scratch);
  for (float*& error : errors_) error = Pool::Get<float>(largest);
  for (uint32_t i = 0; i < count; ++i) {
    for (uint32_t sample = 0; sample < samples; ++sample) {
      layers_[i].tensors[sample] = TensorsOf(i, sample);
    }
  }
  state_ = reinterpret_cast<tfodl::State*>(Pool::Get<uint32_t>(tfodl::kStateWords + kMostLayers));
  state_->rng = 88172645u;
  state_->active = 1;
  state_->learning_rate = settings.learning_rate;
  state_->rate_factor = 1.0f;
  const TrainedLayer& top = layers_[count - 1];
  const tfodl::SkipRule rule = method.skip ? tfodl::kSkipTinyPropV2 : tfodl::kSkipNever;
  xent_ = MakeXent(top.y_scale, {rule, 0.0f, 1.0f, 1.0f, 0.1f});
}

void Network::BuildForward(TrainedLayer* made, bool relu) {
  const Map& map = made->shape.map;
  float factor = made->x_scale * made->weight_scale / made->y_scale;
  const int32_t zero_point = relu ? -128 : 0;
  made->y_zero_point = zero_point;
  int8_t shift = 0;
  for (; factor < 0.5f; factor *= 2.0f) ++shift;
  uint8_t* const multipliers = Pool::Get<uint8_t>(map.out_c * sizeof(int32_t));
  int8_t* const shifts = Pool::Get<int8_t>(map.out_c);
  const uint32_t multiplier = static_cast<uint32_t>(factor * 2147483648.0f);
  for (uint32_t channel = 0; channel < map.out_c; ++channel) {
    memcpy(multipliers + 4 * channel, &multiplier, sizeof multiplier);
    shifts[channel] = shift;
  }
  made->conv = {{tfodl::kAbiVersion, map.in_h, map.in_w, map.in_c, map.out_h, map.out_w, map.out_c,
                 map.kernel, map.kernel, map.stride, map.stride, map.pad, map.pad, map.out_c, 0,
                 made->x_zero_point, zero_point, -128, 127},
                {multipliers, shifts}};
  made->dense = {{tfodl::kAbiVersion, 1, map.in_c, map.out_c, made->x_zero_point, zero_point, -128,
                  127, 1},
                 {multipliers, shifts}};
}

void Network::Build(TrainedLayer* made, uint32_t index, const Method& method, bool propagates) {
  const Map& map = made->shape.map;
  const uint32_t fan_in = FanIn(made->shape);
  const uint32_t weights = fan_in * map.out_c;
  const bool last = index + 1 == count_;
  const bool relu = last ? settings_.relu_at_end : settings_.relu;

  // Weights of He's variance: activations keep the size that the inputs have, 0.5 on average.
  const float deviation = SquareRoot(2.0f / static_cast<float>(fan_in));
  made->weight_scale = 4.0f * deviation / 127.0f;
  made->x_scale = index == 0 ? 2.0f / 255.0f : layers_[index - 1].y_scale;
  made->x_zero_point =
      index == 0 ? settings_.input_zero_point : layers_[index - 1].y_zero_point;
  made->y_scale = (relu ? 4.0f : 8.0f) / 255.0f;
  BuildForward(made, relu);
  made->weights = Pool::Get<int8_t>(weights);
  for (uint32_t i = 0; i < weights; ++i) {
    const float weight = RandomNormal() * 127.0f / 4.0f;
    made->weights[i] =
        static_cast<int8_t>(weight < -127.0f ? -127.0f : weight > 127.0f ? 127.0f : weight);
  }
  made->bias = Pool::Get<int32_t>(map.out_c);
  made->y = Pool::Get<int8_t>(OutputCount(map));
  made->scratch = Pool::Get<int32_t>(fan_in);

  LayerOptions options;
  memset(&options, 0, sizeof options);
  options.abi_version = tfodl::kAbiVersion;
  options.flags = tfodl::kUpdateWeights | tfodl::kUpdateBias;
  if (propagates) options.flags |= tfodl::kPropagate;
  options.layer = index;
  options.in_h = map.in_h;
  options.in_w = map.in_w;
  options.in_c = map.in_c;
  options.out_h = map.out_h;
  options.out_w = map.out_w;
  options.out_c = map.out_c;
  options.kernel_h = options.kernel_w = map.kernel;
  options.stride_h = options.stride_w = map.stride;
  options.pad_top = options.pad_left = map.pad;
  options.x_scale = made->x_scale;
  options.x_zero_point = made->x_zero_point;
  options.act_min = relu ? -128 : -129;
  options.act_max = 128;
  const bool is_output = settings_.softmax && last;
  options.sparsifier = is_output && !method.output_layer ? tfodl::kDense : method.sparsifier;
  options.s_min = options.s_max = method.share;
  options.damping = 1.0f;
  const bool dense = made->shape.kind == LayerKind::kFullyConnected;
  options.n_scales = dense ? 1 : map.out_c;  // as TensorFlow Lite quantizes
  const uint32_t length = sizeof options + options.n_scales * 4;
  made->blob = Pool::Get<uint8_t>(length);
  memcpy(made->blob, &options, sizeof options);
  for (uint32_t i = 0; i < options.n_scales; ++i) {
    memcpy(made->blob + sizeof options + 4 * i, &made->weight_scale, 4);
  }
  if (!tfodl::ParseLayer(made->blob, length, made->shape.kind, &made->layer)) {
    printf("FAILED: a layer was refused\n");
    exit(1);
  }
}

tfodl::LayerTensors Network::TensorsOf(uint32_t index, uint32_t sample) const {
  const TrainedLayer& l = layers_[index];
  const uint32_t above = (count_ - 1 - index) % 2;  // which of the errors is that of its outputs
  tfodl::LayerTensors tensors = {};
  tensors.error = errors_[above];
  tensors.x = index > 0 ? layers_[index - 1].y : inputs_ + sample * InputCount(l.shape.map);
  tensors.y = l.y;
  tensors.weights = l.weights;
  tensors.bias = l.bias;
  tensors.error_x = l.layer.Has(tfodl::kPropagate) ? errors_[1 - above] : nullptr;
  tensors.scratch = l.scratch;
  return tensors;
}

void Network::Forward(uint32_t sample) {
  const int8_t* x = inputs_ + sample * InputCount(layers_[0].shape.map);
  for (uint32_t i = 0; i < count_; ++i) {
    const TrainedLayer& l = layers_[i];
    switch (l.shape.kind) {
      case LayerKind::kFullyConnected:
        tfodl::FullyConnected(l.dense, x, l.weights, l.bias, l.y);
        break;
      case LayerKind::kConv2D:
        tfodl::Conv2D(l.conv, x, l.weights, l.bias, windows_, l.y);
        break;
      case LayerKind::kDepthwiseConv2D:
        tfodl::DepthwiseConv2D(l.conv, x, l.weights, l.bias, l.y);
    }
    x = l.y;
  }
}

void Network::Loss(int32_t label, tfodl::State* state) {
  const TrainedLayer& top = layers_[count_ - 1];
  tfodl::XentStep(xent_, top.y, top.shape.map.out_c, label, state, errors_[0], &report_);
}

void Network::Infer(uint32_t sample) {
  Forward(sample);
  if (settings_.softmax) Loss(-1, state_);
}

void Network::FillError() {
  const uint32_t count = OutputCount(layers_[count_ - 1].shape.map);
  for (uint32_t i = 0; i < count; ++i) errors_[0][i] = 0.01f * RandomNormal();
}

void Network::Train(uint32_t sample) {
  if (settings_.softmax) {
    Loss(static_cast<int32_t>(sample), state_);
    if (state_->active == 0) return;
  }
  for (uint32_t i = count_; i-- > 0;) {
    const TrainedLayer& l = layers_[i];
    tfodl::LayerStep(l.layer, l.shape.kind, l.tensors[sample], state_);
  }
}

float Network::MeanLoss() {
  tfodl::State state = *state_;
  float sum = 0.0f;
  for (uint32_t i = 0; i < samples_; ++i) {
    Forward(i);
    Loss(static_cast<int32_t>(i), &state);
    sum += report_.loss;
  }
  return sum / static_cast<float>(samples_);
}

}  // namespace bench
