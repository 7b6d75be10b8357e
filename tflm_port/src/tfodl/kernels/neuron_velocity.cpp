#include "tfodl/kernels/neuron_velocity.h"

#include "tfodl/float_math.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

// For positive normal numbers, to about one unit in the last place: three steps of Newton's method
// from a first guess within 4 %.
float SquareRoot(float value) {
  float root = FloatFromBits(0x1fbd1df5u + (FloatBits(value) >> 1));
  for (int step = 0; step < 3; ++step) root = 0.5f * (root + value / root);
  return root;
}

}  // namespace

void MeanOfMaps(const int8_t* y, uint32_t positions, uint32_t neurons, int8_t* means,
                uint32_t stride) {
  for (uint32_t neuron = 0; neuron < neurons; ++neuron) {
    uint32_t sum = positions / 2;
    for (uint32_t i = 0; i < positions; ++i) {
      sum += static_cast<uint32_t>(y[i * neurons + neuron] + 128);
    }
    means[neuron * stride] = static_cast<int8_t>(static_cast<int32_t>(sum / positions) - 128);
  }
}

float CosineSimilarity(const int8_t* now, const int8_t* before, uint32_t count,
                       int32_t zero_point) {
  int32_t product = 0, now_squared = 0, before_squared = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const int32_t a = now[i] - zero_point;
    const int32_t b = before[i] - zero_point;
    product += a * b;
    now_squared += a * a;
    before_squared += b * b;
  }
  if (now_squared == 0 || before_squared == 0) return now_squared == before_squared ? 1.0f : 0.0f;
  return static_cast<float>(product) /
         SquareRoot(static_cast<float>(now_squared) * static_cast<float>(before_squared));
}

void UpdateVelocity(float phi_now, float mu, float* phi, float* change, float* velocity) {
  const float change_now = phi_now - *phi;
  *velocity = change_now - *change + mu * *velocity;
  *change = change_now;
  *phi = phi_now;
}

}  // namespace tfodl
