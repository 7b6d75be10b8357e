// How fast neurons change: NEq (Bragagnolo et al. 2022) with what a board remembers of outputs.
#ifndef TFODL_KERNELS_NEURON_VELOCITY_H_
#define TFODL_KERNELS_NEURON_VELOCITY_H_

#include <stdint.h>

namespace tfodl {

// The mean over the positions of each neuron's output map y [positions, neurons], halves up, to
// means[neuron * stride].
void MeanOfMaps(const int8_t* y, uint32_t positions, uint32_t neurons, int8_t* means,
                uint32_t stride);

// phi of one neuron: the cosine between its outputs now and before on `count` samples, above the
// zero point. Two zero vectors are similar (1), one is not (0).
float CosineSimilarity(const int8_t* now, const int8_t* before, uint32_t count,
                       int32_t zero_point);

// dphi_t = phi_t - phi_t-1, v_t = dphi_t - dphi_t-1 + mu v_t-1, all three in place.
void UpdateVelocity(float phi_now, float mu, float* phi, float* change, float* velocity);

}  // namespace tfodl

#endif  // TFODL_KERNELS_NEURON_VELOCITY_H_
