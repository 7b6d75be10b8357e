// Four neurons at a time where there are DSP instructions: each input is read and widened once for
// all of them, and needs no memory.
#include "tfodl/optimize.h"
#include "tfodl/kernels/fully_connected.h"

#include "tfodl/kernels/requantize.h"

namespace tfodl {
namespace {

struct Inputs {
  const int8_t* x;
  uint32_t count;
  int32_t zero_point;
  uint32_t offsets;                // a pair of -zero_point
  const Requantizer& requantizer;  // of what is computed from them
};

#if TFODL_HAS_DSP

constexpr uint32_t kGroup = 4;  // inputs that are widened together
constexpr int32_t kNoBias[4] = {0, 0, 0, 0};

// The outputs of four neurons, whose weights are one behind the other, with the scales from this
// one on.
TFODL_NOINLINE void FourNeurons(const Inputs& inputs, const int8_t* weights, const int32_t* bias,
                                uint32_t scale, int8_t* y) {
  const uint32_t count = inputs.count;
  const int8_t* x = inputs.x;
  const int8_t* const grouped = x + count / kGroup * kGroup;
  FourSums sums = LoadFour(bias);
  if (x != grouped) MultiplyFourRows(&x, grouped, &weights, count, inputs.offsets, &sums);
  for (uint32_t rest = count % kGroup; rest > 0; --rest) {
    const int32_t input = *x++ - inputs.zero_point;
    sums.s0 = AddProduct(sums.s0, input, weights[0]);
    sums.s1 = AddProduct(sums.s1, input, weights[count]);
    sums.s2 = AddProduct(sums.s2, input, weights[2 * count]);
    sums.s3 = AddProduct(sums.s3, input, (weights++)[3 * count]);
  }
  inputs.requantizer.Four(sums, scale, y);
}

// Adds a row of weights and another one, so many weights behind it, times the inputs.
TFODL_NOINLINE void AddTwoRows(const Inputs& inputs, const int8_t* weights, uint32_t other,
                               int32_t* sums) {
  const uint32_t offsets = inputs.offsets;
  const int8_t* x = inputs.x;
  const int8_t* const end = x + inputs.count;
  const int8_t* const grouped = x + inputs.count / kGroup * kGroup;
  int32_t first = sums[0], second = sums[1];
  for (; x != grouped; x += kGroup, weights += kGroup) {
    const uint32_t bytes = LoadWord(x);
    const uint32_t even = EvenBytes(offsets, bytes), odd = OddBytes(offsets, bytes);
    const uint32_t a = LoadWord(weights), b = LoadWord(weights + other);
    first = MultiplyPairs(odd, OddBytes(a), MultiplyPairs(even, EvenBytes(a), first));
    second = MultiplyPairs(odd, OddBytes(b), MultiplyPairs(even, EvenBytes(b), second));
  }
  for (; x != end; ++x, ++weights) {
    const int32_t input = *x - inputs.zero_point;
    first = AddProduct(first, input, weights[0]);
    second = AddProduct(second, input, weights[other]);
  }
  sums[0] = first;
  sums[1] = second;
}

#endif

// The scales of four neurons that follow each other, where all have one.
struct SameScales {
  uint8_t multipliers[4 * sizeof(int32_t)];
  int8_t shifts[4];

  explicit SameScales(const FixedPoint& scale) {
    for (uint32_t i = 0; i < 4; ++i) {
      StoreWord(multipliers + 4 * i, static_cast<uint32_t>(scale.Multiplier(0)));
      shifts[i] = scale.shifts[0];
    }
  }
  FixedPoint get() const { return {multipliers, shifts}; }
};

void Row(const FullyConnectedOptions& o, const Inputs& inputs, const int8_t* weights,
         const int32_t* bias, int8_t* y) {
  const Requantizer& requantizer = inputs.requantizer;
  const uint32_t next = o.n_scales == 1 ? 0 : 1;  // scales from one neuron to the next
  uint32_t neuron = 0;
#if TFODL_HAS_DSP
  for (; neuron + 4 <= o.out_c; neuron += 4, weights += 4 * o.in_c) {
    FourNeurons(inputs, weights, bias == nullptr ? kNoBias : bias + neuron, next * neuron,
                y + neuron);
  }
  for (; neuron < o.out_c; neuron += 2, weights += 2 * o.in_c) {
    const uint32_t other = neuron + 1 < o.out_c ? 1 : 0;
    int32_t sums[2] = {BiasAt(bias, neuron), BiasAt(bias, neuron + other)};
    AddTwoRows(inputs, weights, other * o.in_c, sums);
    y[neuron] = requantizer.One(sums[0], next * neuron);
    y[neuron + other] = requantizer.One(sums[other], next * (neuron + other));
  }
#else
  for (; neuron < o.out_c; ++neuron, weights += o.in_c) {
    const int32_t sum = DotProduct(inputs.x, inputs.zero_point, weights, inputs.count);
    y[neuron] = requantizer.One(WrappedSum(BiasAt(bias, neuron), sum), next * neuron);
  }
#endif
}

}  // namespace

int32_t DotProduct(const int8_t* x, int32_t x_zero_point, const int8_t* weights, uint32_t count) {
  int32_t sum = 0;
#if TFODL_HAS_DSP
  const uint32_t offsets = MakePair(-x_zero_point, -x_zero_point);
  for (; count >= kGroup; count -= kGroup, x += kGroup, weights += kGroup) {
    const uint32_t inputs = LoadWord(x), bytes = LoadWord(weights);
    sum = MultiplyPairs(EvenBytes(offsets, inputs), EvenBytes(bytes), sum);
    sum = MultiplyPairs(OddBytes(offsets, inputs), OddBytes(bytes), sum);
  }
#endif
  for (; count > 0; --count) sum += (*x++ - x_zero_point) * *weights++;
  return sum;
}

void FullyConnected(const FullyConnectedLayer& layer, const int8_t* x, const int8_t* weights,
                    const int32_t* bias, int8_t* y) {
  const FullyConnectedOptions& o = layer.options;
  const SameScales same(layer.scales);
  const Requantizer requantizer(o, o.n_scales == 1 ? same.get() : layer.scales, o.n_scales);
  const uint32_t offsets = MakePair(-o.x_zero_point, -o.x_zero_point);
  for (uint32_t row = 0; row < o.rows; ++row, x += o.in_c, y += o.out_c) {
    Row(o, {x, o.in_c, o.x_zero_point, offsets, requantizer}, weights, bias, y);
  }
}

}  // namespace tfodl
