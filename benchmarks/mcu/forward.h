// The int8 fully connected layer of the benchmark: what an optimized inference library does (sums of
// products by SMLAD, two neurons at a time, fixed-point rescaling), so that a training step can be
// measured without TensorFlow Lite Micro. It is not part of the library, whose convolutions are.
#ifndef BENCH_FORWARD_H_
#define BENCH_FORWARD_H_

#include <stdint.h>

namespace bench {

struct Rescale {
  int32_t multiplier;  // of 2^-32
  int32_t zero_point, low, high;
};

// x [in_c], weights [out_c, in_c], bias and y [out_c], row: in_c int16.
void FullyConnected(uint32_t in_c, uint32_t out_c, const int8_t* x, int32_t x_zero_point,
                    const int8_t* weights, const int32_t* bias, const Rescale& rescale,
                    int16_t* row, int8_t* y);

}  // namespace bench

#endif  // BENCH_FORWARD_H_
