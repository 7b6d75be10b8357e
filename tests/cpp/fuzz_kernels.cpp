// Random and corrupt options through the parser; whatever it accepts runs, on memory of exactly the
// size the options ask for. Meant for AddressSanitizer and UndefinedBehaviorSanitizer.
//
// fuzz_kernels SEED CASES      exit code 1 with a message when a check fails
// fuzz_kernels overread        reads behind a blob, to show that the sanitizers are at work
// fuzz_kernels overflow        overflows an int, likewise
#include <stdio.h>
#include <stdlib.h>

#include "random_cases.h"
#include "tfodl/kernels/delta.h"
#include "tfodl/kernels/pool_2d_backward.h"
#include "tfodl/kernels/sparsify.h"
#include "tfodl/kernels/update.h"
#include "tfodl/layer_step.h"
#include "tfodl/xent_step.h"

namespace tfodl {
namespace test {
namespace {

constexpr uint64_t kMostWork = 200000;  // larger accepted cases are only parsed

struct Counts {
  uint32_t accepted = 0, refused = 0, ran = 0;
};

[[noreturn]] void Fail(const char* what) {
  printf("FAILED: %s\n", what);
  exit(1);
}

void Check(bool holds, const char* what) {
  if (!holds) Fail(what);
}

template <class T>
T* DataOrNull(std::vector<T>* values, bool wanted) {
  return wanted ? values->data() : nullptr;
}

void RunLayer(Random* random, const Layer& layer, LayerKind kind) {
  const LayerOptions& o = layer.options;
  const uint32_t fan_in = FanIn(o, kind);
  const bool depthwise = kind == LayerKind::kDepthwiseConv2D;
  const bool propagates = layer.Has(kPropagate);
  const bool updates = layer.Has(kUpdateWeights);
  std::vector<float> error = RandomError(random, layer.OutputCount());
  std::vector<int8_t> x = RandomInt8(random, layer.InputCount());
  std::vector<int8_t> y = RandomInt8(random, layer.OutputCount());
  std::vector<int8_t> weights = RandomInt8(random, fan_in * o.out_c, -127);
  std::vector<int32_t> bias = RandomInt32(random, o.out_c);
  std::vector<float> error_x(layer.InputCount());
  std::vector<int32_t> scratch(fan_in);
  const bool accumulates = layer.Has(kAccumulate);
  const uint32_t residuals =
      accumulates ? 2 * SummedNeurons(layer, kind) * fan_in : fan_in * o.out_c;
  std::vector<int8_t> residual = RandomInt8(random, residuals);
  const std::vector<int8_t> residual_before = residual;
  const std::vector<int8_t> weights_before = weights;
  const std::vector<int32_t> bias_before = bias;
  StateMemory state(random, o.layer + 1);
  const bool bounded = o.act_min >= -128 || o.act_max <= 127;

  LayerTensors tensors = {};
  tensors.error = error.data();
  tensors.x = DataOrNull(&x, updates);
  tensors.y = DataOrNull(&y, bounded || random->Chance(50));
  tensors.weights = DataOrNull(&weights, propagates || updates);
  tensors.bias = DataOrNull(&bias, layer.Has(kUpdateBias));
  tensors.error_x = DataOrNull(&error_x, propagates);
  tensors.scratch = DataOrNull(&scratch, updates && kind != LayerKind::kFullyConnected);
  tensors.residual = DataOrNull(&residual, layer.Has(kResidual) || (accumulates && updates));
  LayerStep(layer, kind, tensors, state.get());

  Check(state.get()->rng != 0, "the generator reached 0");
  for (uint32_t neuron = 0; neuron < o.out_c; ++neuron) {
    const bool frozen = !layer.MayUpdate(neuron);
    const bool bias_rests = frozen || !layer.Has(kUpdateBias);
    Check(accumulates || !bias_rests || bias[neuron] == bias_before[neuron],
          "a bias moved that may not");
    for (uint32_t j = 0; j < fan_in; ++j) {
      const uint32_t i = depthwise ? j * o.out_c + neuron : neuron * fan_in + j;
      Check(!accumulates || weights[i] == weights_before[i], "a weight moved instead of its sum");
      Check(weights[i] >= -127, "a weight left [-127, 127]");
      Check(!(frozen || !updates) || weights[i] == weights_before[i],
            "a weight moved that may not");
      Check(accumulates || !(frozen || !layer.Has(kResidual)) || residual[i] == residual_before[i],
            "a residual moved that may not");
    }
  }
}

uint64_t Work(const LayerOptions& o, LayerKind kind) {
  return uint64_t{o.out_h} * o.out_w * o.out_c * FanIn(o, kind) +
         uint64_t{o.in_h} * o.in_w * o.in_c;
}

void TryLayer(Random* random, const Blob& blob, LayerKind kind, bool intact, Counts* counts) {
  Layer layer;
  const bool accepted = ParseLayer(blob.data(), static_cast<uint32_t>(blob.size()), kind, &layer);
  Check(accepted || !intact, "a good layer was refused");
  ++(accepted ? counts->accepted : counts->refused);
  if (!accepted || Work(layer.options, kind) > kMostWork) return;
  RunLayer(random, layer, kind);
  ++counts->ran;
}

void TryPool(Random* random, const Blob& blob, bool intact, Counts* counts) {
  PoolOptions o;
  const bool accepted = ParsePool(blob.data(), static_cast<uint32_t>(blob.size()), &o);
  Check(accepted || !intact, "a good pool was refused");
  ++(accepted ? counts->accepted : counts->refused);
  if (!accepted) return;
  const uint64_t outputs = uint64_t{o.out_h} * o.out_w * o.in_c;
  const uint64_t inputs = uint64_t{o.in_h} * o.in_w * o.in_c;
  if (inputs > kMostWork || outputs > kMostWork / o.filter_h / o.filter_w) return;
  std::vector<float> error = RandomError(random, static_cast<uint32_t>(outputs));
  const std::vector<int8_t> x = RandomInt8(random, static_cast<uint32_t>(inputs));
  const std::vector<int8_t> y = RandomInt8(random, static_cast<uint32_t>(outputs));
  std::vector<float> error_x(inputs);
  MaskError(y.data(), o.act_min, o.act_max, static_cast<uint32_t>(outputs), error.data());
  Pool2DBackward(o, error.data(), x.data(), error_x.data());
  Pool2DBackward(o, error.data(), nullptr, error_x.data());
  ++counts->ran;
}

void TryXent(Random* random, const Blob& blob, bool intact, Counts* counts) {
  Xent xent;
  const bool accepted = ParseXent(blob.data(), static_cast<uint32_t>(blob.size()), &xent);
  Check(accepted || !intact, "good cross entropy options were refused");
  ++(accepted ? counts->accepted : counts->refused);
  if (!accepted) return;
  const uint32_t classes = random->Size(1, 20);
  const std::vector<int8_t> logits = RandomInt8(random, classes);
  std::vector<float> error(classes);
  StateMemory state(random, 0);
  Report report;
  const int32_t label = random->Int(-2, 22);
  const bool known =
      XentStep(xent, logits.data(), classes, label, state.get(), error.data(), &report);
  Check(known == (label < static_cast<int32_t>(classes)), "a wrong label was taken");
  Check(IsFinite(report.alpha) && report.alpha <= 2.001f, "alpha is no sum of probabilities");
  ++counts->ran;
}

void TrySeed(const Blob& blob, bool intact, Counts* counts) {
  SeedOptions o;
  const bool accepted = ParseSeed(blob.data(), static_cast<uint32_t>(blob.size()), &o);
  Check(accepted || !intact, "good seed options were refused");
  ++(accepted ? counts->accepted : counts->refused);
}

void TrySparsifier(Random* random) {
  const uint32_t count = random->Size(1, 300);
  std::vector<float> values(count);
  const bool few_values = random->Chance(30);
  for (float& value : values) {
    value = few_values ? static_cast<float>(random->Int(-2, 2)) : random->AnyFloat();
    if (!IsFinite(value)) value = 0.0f;
  }
  const uint32_t k = CountOfFraction(random->AnyFloat(), count);
  Check(k >= 1 && k <= count, "k is out of range");
  std::vector<float> kept = values;
  const float largest = MaskError(nullptr, -129, 128, count, kept.data()).largest;
  KeepLargest(kept.data(), count, k, largest);
  uint32_t non_zero = 0;
  for (uint32_t i = 0; i < count; ++i) {
    non_zero += MagnitudeBits(kept[i]) != 0;
    Check(MagnitudeBits(kept[i]) == 0 || FloatBits(kept[i]) == FloatBits(values[i]),
          "an entry changed");
  }
  Check(non_zero <= k, "more than k entries were kept");
}

void TryUpdates(Random* random) {
  for (int i = 0; i < 10; ++i) {
    const uint32_t count = random->Size(1, 40);
    std::vector<int8_t> weights = RandomInt8(random, count, -127);
    std::vector<int8_t> residuals = RandomInt8(random, count);
    WeightUpdater updater(random->Bits(), weights.data(), DataOrNull(&residuals, i % 2 == 0));
    const std::vector<int8_t> x = RandomInt8(random, count);
    std::vector<int32_t> gradient(count);
    for (int32_t& sum : gradient) sum = static_cast<int32_t>(random->Bits());
    const StepScale scale = MakeStepScale(random->AnyFloat());
    updater.UpdateOuter(0, x.data(), random->Int(-128, 127), random->AnyFloat(), count);
    updater.UpdateRow(0, gradient.data(), scale, count);
    const StepScale scales[4] = {scale, MakeStepScale(random->AnyFloat()), scale, scale};
    updater.UpdateFour(0, gradient.data(), scales, count < 4 ? count : 4);
    for (const int8_t weight : weights) Check(weight >= -127, "a weight left [-127, 127]");
    int32_t bias = static_cast<int32_t>(random->Bits());
    updater.UpdateBias(&bias, random->AnyFloat());
  }
}

int Run(uint32_t seed, uint32_t cases) {
  Counts layers, pools, xents, seeds;
  for (uint32_t i = 0; i < cases; ++i) {
    Random random(seed * 1000003u + i);
    for (const LayerKind kind : {LayerKind::kFullyConnected, LayerKind::kConv2D,
                                 LayerKind::kDepthwiseConv2D}) {
      const Blob blob = PackLayer(&random, RandomLayerOptions(&random, kind));
      TryLayer(&random, blob, kind, true, &layers);
      TryLayer(&random, Corrupt(&random, blob), kind, false, &layers);
    }
    const Blob pool = Pack(RandomPoolOptions(&random));
    TryPool(&random, pool, true, &pools);
    TryPool(&random, Corrupt(&random, pool), false, &pools);
    const Blob xent = PackXent(RandomXentOptions(&random));
    TryXent(&random, xent, true, &xents);
    TryXent(&random, Corrupt(&random, xent), false, &xents);
    const Blob seed_blob = Pack(RandomSeedOptions(&random, random.Size(0, 9)));
    TrySeed(seed_blob, true, &seeds);
    TrySeed(Corrupt(&random, seed_blob), false, &seeds);
    TrySparsifier(&random);
    TryUpdates(&random);
  }
  const Counts* all[] = {&layers, &pools, &xents, &seeds};
  for (const Counts* counts : all) {
    printf("%u accepted %u refused %u ran\n", counts->accepted, counts->refused, counts->ran);
  }
  return 0;
}

// Behind the optimizer's back: the sanitizers have to see both at run time.
int Overread() {
  Blob blob(sizeof(SeedOptions) - 1);
  blob.shrink_to_fit();
  return ReadSeed(blob.data()).n_variables == 77 ? 2 : 0;
}

int Overflow(int argc) {
  volatile int32_t largest = INT32_MAX;
  const int32_t sum = largest + argc;
  return sum == 77 ? 2 : 0;
}

}  // namespace
}  // namespace test
}  // namespace tfodl

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "overread") == 0) return tfodl::test::Overread();
  if (argc == 2 && strcmp(argv[1], "overflow") == 0) return tfodl::test::Overflow(argc);
  if (argc != 3) return 3;
  return tfodl::test::Run(static_cast<uint32_t>(atoi(argv[1])),
                          static_cast<uint32_t>(atoi(argv[2])));
}
