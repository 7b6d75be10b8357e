// Runs option parsing and every kernel on random and on damaged options, for the sanitizers.
//
// Every buffer has exactly the size the options announce, on the heap, so that AddressSanitizer
// sees the first byte too many. Options are right, or right with some bytes replaced or cut off;
// what the parser accepts must run. Prints how many were accepted and refused.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "tfodl/kernels/average_pool_2d_backward.h"
#include "tfodl/kernels/max_pool_2d_backward.h"
#include "tfodl/layer_step.h"
#include "tfodl/options.h"
#include "tfodl/xent_step.h"

namespace {

constexpr uint32_t kTooLarge = 1u << 14;  // elements a damaged size may announce and still be run

uint32_t g_seed = 1;

uint32_t Random(uint32_t below) {
  g_seed ^= g_seed << 13;
  g_seed ^= g_seed >> 17;
  g_seed ^= g_seed << 5;
  return g_seed % below;
}

float RandomFloat() { return static_cast<float>(Random(2001)) / 1000.0f - 1.0f; }

// Sometimes no number at all: a diverged model may hand over anything.
float RandomError() {
  const uint32_t bits = Random(400) == 0 ? 0x7f800000u + Random(2) : 0;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return bits == 0 ? RandomFloat() : value;
}

template <class T>
std::unique_ptr<T[]> Floats(uint32_t count, T (*make)()) {
  std::unique_ptr<T[]> values(new T[count]);
  for (uint32_t i = 0; i < count; ++i) values[i] = make();
  return values;
}

int8_t RandomCode() { return static_cast<int8_t>(Random(256)); }
int8_t RandomWeight() { return static_cast<int8_t>(static_cast<int>(Random(255)) - 127); }

uint32_t OutputSize(uint32_t in, uint32_t window, uint32_t stride, uint32_t pad) {
  return (in + 2 * pad - window) / stride + 1;
}

// Bytes at an odd address, of exactly this length.
struct Blob {
  explicit Blob(const std::vector<uint8_t>& bytes)
      : length(static_cast<uint32_t>(bytes.size())), memory(new uint8_t[bytes.size() + 1]) {
    if (length != 0) std::memcpy(memory.get() + 1, bytes.data(), length);
  }
  const uint8_t* data() const { return memory.get() + 1; }
  uint32_t length;
  std::unique_ptr<uint8_t[]> memory;
};

void Damage(std::vector<uint8_t>* bytes) {
  switch (Random(4)) {
    case 0:
      return;
    case 1:
      bytes->resize(Random(static_cast<uint32_t>(bytes->size()) + 1));
      return;
    case 2:
      bytes->push_back(static_cast<uint8_t>(Random(256)));
      return;
    default:
      for (uint32_t n = 1 + Random(3); n > 0 && !bytes->empty(); --n) {
        (*bytes)[Random(static_cast<uint32_t>(bytes->size()))] = static_cast<uint8_t>(Random(256));
      }
  }
}

template <class T>
void Append(std::vector<uint8_t>* bytes, const T& value) {
  const uint8_t* raw = reinterpret_cast<const uint8_t*>(&value);
  bytes->insert(bytes->end(), raw, raw + sizeof(T));
}

std::vector<uint8_t> RandomLayer(tfodl::LayerKind kind) {
  tfodl::LayerOptions o = {};
  o.abi_version = tfodl::kAbiVersion;
  o.flags = Random(16);
  o.layer = Random(3);
  const bool dense = kind == tfodl::LayerKind::kFullyConnected;
  o.in_c = 1 + Random(5);
  o.in_h = dense ? 1 : 1 + Random(7);
  o.in_w = dense ? 1 : 1 + Random(7);
  o.kernel_h = dense ? 1 : 1 + Random(o.in_h < 3 ? o.in_h : 3);
  o.kernel_w = dense ? 1 : 1 + Random(o.in_w < 3 ? o.in_w : 3);
  o.stride_h = dense ? 1 : 1 + Random(3);
  o.stride_w = dense ? 1 : 1 + Random(3);
  o.pad_top = Random(o.kernel_h);
  o.pad_left = Random(o.kernel_w);
  o.out_h = OutputSize(o.in_h, o.kernel_h, o.stride_h, o.pad_top);
  o.out_w = OutputSize(o.in_w, o.kernel_w, o.stride_w, o.pad_left);
  o.out_c = kind == tfodl::LayerKind::kDepthwiseConv2D ? o.in_c * (1 + Random(3)) : 1 + Random(9);
  o.x_scale = 0.02f;
  o.x_zero_point = static_cast<int32_t>(Random(256)) - 128;
  o.act_min = Random(2) == 0 ? -129 : -128;
  o.act_max = Random(2) == 0 ? 128 : 100;
  o.sparsifier = Random(3);
  o.s_min = 0.2f;
  o.s_max = 1.0f;
  o.damping = 0.9f;
  o.n_scales = Random(2) == 0 ? 1 : o.out_c;
  std::vector<uint8_t> bytes;
  Append(&bytes, o);
  for (uint32_t i = 0; i < o.n_scales; ++i) Append(&bytes, 0.01f);
  if ((o.flags & tfodl::kMasked) != 0) {
    for (uint32_t i = 0; i < (o.out_c + 7) / 8; ++i) {
      bytes.push_back(static_cast<uint8_t>(Random(256)));
    }
  }
  return bytes;
}

std::vector<uint8_t> RandomPool() {
  tfodl::PoolOptions o = {};
  o.abi_version = tfodl::kAbiVersion;
  o.in_h = 1 + Random(7);
  o.in_w = 1 + Random(7);
  o.in_c = 1 + Random(5);
  o.filter_h = 1 + Random(o.in_h);
  o.filter_w = 1 + Random(o.in_w);
  o.stride_h = 1 + Random(3);
  o.stride_w = 1 + Random(3);
  o.pad_top = Random(o.filter_h);
  o.pad_left = Random(o.filter_w);
  o.out_h = OutputSize(o.in_h, o.filter_h, o.stride_h, o.pad_top);
  o.out_w = OutputSize(o.in_w, o.filter_w, o.stride_w, o.pad_left);
  o.act_min = -129;
  o.act_max = 128;
  std::vector<uint8_t> bytes;
  Append(&bytes, o);
  return bytes;
}

// The state tensor with the running maxima of `layers` layers behind it.
std::unique_ptr<uint32_t[]> NewState(uint32_t layers) {
  std::unique_ptr<uint32_t[]> words(new uint32_t[tfodl::kStateWords + layers]());
  tfodl::State* state = reinterpret_cast<tfodl::State*>(words.get());
  state->rng = 1 + Random(1000);
  state->learning_rate = RandomFloat() * 10.0f;
  state->active = 1;
  return words;
}

bool RunLayer(tfodl::LayerKind kind) {
  std::vector<uint8_t> bytes = RandomLayer(kind);
  Damage(&bytes);
  const Blob blob(bytes);
  tfodl::Layer layer;
  if (!tfodl::ParseLayer(blob.data(), blob.length, kind, &layer)) return false;
  const tfodl::LayerOptions& o = layer.options;
  const uint64_t weights = uint64_t{tfodl::FanIn(o, kind)} * o.out_c;
  if (weights > kTooLarge || layer.InputCount() > kTooLarge || layer.OutputCount() > kTooLarge ||
      o.layer > kTooLarge) {
    return true;
  }
  auto state = NewState(o.layer + 1);
  auto error = Floats<float>(layer.OutputCount(), RandomError);
  auto x = Floats<int8_t>(layer.InputCount(), RandomCode);
  auto y = Floats<int8_t>(layer.OutputCount(), RandomCode);
  auto w = Floats<int8_t>(static_cast<uint32_t>(weights), RandomWeight);
  std::unique_ptr<int32_t[]> bias(new int32_t[o.out_c]());
  auto error_x = Floats<float>(layer.InputCount(), RandomFloat);
  auto scratch = Floats<float>(tfodl::FanIn(o, kind), RandomFloat);
  const tfodl::LayerTensors tensors = {error.get(), x.get(),       y.get(),      w.get(),
                                       bias.get(),  error_x.get(), scratch.get()};
  for (int step = 0; step < 2; ++step) {
    tfodl::LayerStep(layer, kind, tensors, reinterpret_cast<tfodl::State*>(state.get()));
  }
  for (uint32_t i = 0; i < weights; ++i) {
    if (w[i] == -128) {
      std::fprintf(stderr, "a weight left -127..127\n");
      __builtin_trap();
    }
  }
  return true;
}

bool RunPool() {
  std::vector<uint8_t> bytes = RandomPool();
  Damage(&bytes);
  const Blob blob(bytes);
  tfodl::PoolOptions o;
  if (!tfodl::ParsePool(blob.data(), blob.length, &o)) return false;
  const uint64_t in = uint64_t{o.in_h} * o.in_w * o.in_c;
  const uint64_t out = uint64_t{o.out_h} * o.out_w * o.in_c;
  if (in > kTooLarge || out > kTooLarge) return true;
  auto delta = Floats<float>(static_cast<uint32_t>(out), RandomFloat);
  auto x = Floats<int8_t>(static_cast<uint32_t>(in), RandomCode);
  std::unique_ptr<float[]> error_x(new float[in]);
  tfodl::MaxPool2DBackward(o, delta.get(), x.get(), error_x.get());
  tfodl::AveragePool2DBackward(o, delta.get(), error_x.get());
  return true;
}

bool RunXent() {
  tfodl::XentOptions o = {tfodl::kAbiVersion, 0.05f, Random(2), 0.0f, 1.0f, 1.0f, 0.1f};
  std::vector<uint8_t> bytes;
  Append(&bytes, o);
  Damage(&bytes);
  const Blob blob(bytes);
  if (!tfodl::ParseXent(blob.data(), blob.length, &o)) return false;
  const uint32_t classes = 1 + Random(12);
  auto state = NewState(0);
  auto logits = Floats<int8_t>(classes, RandomCode);
  std::unique_ptr<float[]> error(new float[classes]);
  tfodl::Report report;
  const int32_t label = static_cast<int32_t>(Random(classes + 4)) - 2;
  tfodl::XentStep(o, logits.get(), classes, label, reinterpret_cast<tfodl::State*>(state.get()),
                  error.get(), &report);
  return true;
}

bool RunSeed() {
  const tfodl::SeedOptions right = {tfodl::kAbiVersion, 7, 9, 0.1f, 3};
  std::vector<uint8_t> bytes;
  Append(&bytes, right);
  Damage(&bytes);
  const Blob blob(bytes);
  tfodl::SeedOptions o;
  return tfodl::ParseSeed(blob.data(), blob.length, &o);
}

bool RunOne(uint32_t which) {
  switch (which) {
    case 0:
      return RunLayer(tfodl::LayerKind::kFullyConnected);
    case 1:
      return RunLayer(tfodl::LayerKind::kConv2D);
    case 2:
      return RunLayer(tfodl::LayerKind::kDepthwiseConv2D);
    case 3:
      return RunPool();
    case 4:
      return RunXent();
    default:
      return RunSeed();
  }
}

}  // namespace

int main() {
  for (uint32_t which = 0; which < 6; ++which) {
    uint32_t accepted = 0, refused = 0;
    for (int i = 0; i < 4000; ++i) ++(RunOne(which) ? accepted : refused);
    std::printf("%u %u %u\n", which, accepted, refused);
  }
  return 0;
}
