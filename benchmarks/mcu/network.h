// Networks that train on random data: the kernels of TFODL_FULLY_CONNECTED, TFODL_CONV_2D,
// TFODL_DEPTHWISE_CONV_2D and the
// training ops, called as the ops call them.
#ifndef BENCH_NETWORK_H_
#define BENCH_NETWORK_H_

#include <stdint.h>

#include "tfodl/conv_options.h"
#include "tfodl/fully_connected_options.h"
#include "tfodl/layer_step.h"
#include "tfodl/xent_step.h"

namespace bench {

constexpr uint32_t kMostLayers = 6;
constexpr uint32_t kMostSamples = 5;

// Memory of one network; everything is given back at once.
class Pool {
 public:
  static void Clear();
  template <class T>
  static T* Get(uint32_t count) {
    return static_cast<T*>(Bytes(count * sizeof(T)));
  }

 private:
  static void* Bytes(uint32_t bytes);
};

// Options with their table, which lies in the pool.
tfodl::Xent MakeXent(float logits_scale, const tfodl::SkipSettings& skip);

struct Map {
  uint32_t in_h, in_w, in_c, out_h, out_w, out_c, kernel, stride, pad;
};

struct LayerShape {
  tfodl::LayerKind kind;
  Map map;
};

inline LayerShape Dense(uint32_t in_c, uint32_t out_c) {
  return {tfodl::LayerKind::kFullyConnected, {1, 1, in_c, 1, 1, out_c, 1, 1, 0}};
}

// Square maps with the output size of the padding; `pad` is that before the first row and column.
LayerShape Conv(uint32_t in, uint32_t in_c, uint32_t out, uint32_t out_c, uint32_t kernel,
                uint32_t stride, uint32_t pad);

// With a kernel of 3x3.
LayerShape Depthwise(uint32_t in, uint32_t out, uint32_t channels, uint32_t stride, uint32_t pad);

uint32_t ForwardMacs(const LayerShape& shape);

struct Settings {
  bool relu;         // of all layers but the last
  bool relu_at_end;
  bool softmax;      // cross entropy at the end; else the error of the output is given
  bool input_error;  // the lowest layer passes its error on
  int32_t input_zero_point;
  float learning_rate;
};

struct Method {
  tfodl::Sparsifier sparsifier;
  float share;        // of the entries that are kept
  bool output_layer;  // of a softmax layer, too
  bool skip;          // TinyPropv2's rule, with a threshold of 0.1
};

// A layer with its tensors.
struct TrainedLayer {
  LayerShape shape;
  tfodl::FullyConnectedLayer dense;
  tfodl::Conv conv;  // where it is a convolution
  float x_scale, weight_scale, y_scale;
  int32_t x_zero_point, y_zero_point;
  uint8_t* blob;
  tfodl::Layer layer;
  int8_t* weights;
  int32_t* bias;
  int8_t* y;
  int32_t* scratch;
  tfodl::LayerTensors tensors[kMostSamples];  // as the op of each sample finds them
};

class Network {
 public:
  // `samples` random inputs, kMostSamples at most; sample i belongs to class i.
  Network(const LayerShape* shapes, uint32_t count, const Settings& settings, const Method& method,
          uint32_t samples);

  void Forward(uint32_t sample);
  // The forward pass and, of a classifier, class and probability.
  void Infer(uint32_t sample);
  // What comes after the forward pass: class, probability, loss, error, decision, backward pass.
  void Train(uint32_t sample);
  // Leaves only this part of the lowest layer's work; flags of tfodl::LayerFlag.
  void Keep(uint32_t flags) { layers_[0].layer.options.flags = flags; }
  void FillError();  // a random error at the output, where there is no softmax

  uint32_t samples() const { return samples_; }
  float MeanLoss();
  const tfodl::State& state() const { return *state_; }
  const tfodl::Report& report() const { return report_; }

 private:
  void BuildForward(TrainedLayer* made, bool relu);
  void Build(TrainedLayer* made, uint32_t index, const Method& method, bool propagates);
  tfodl::LayerTensors TensorsOf(uint32_t index, uint32_t sample) const;
  void Loss(int32_t label, tfodl::State* state);

  TrainedLayer layers_[kMostLayers];
  uint32_t count_;
  Settings settings_;
  tfodl::Xent xent_;
  tfodl::State* state_;
  tfodl::Report report_;
  uint32_t samples_;
  int8_t* inputs_;
  int16_t* windows_;  // scratch memory of convolutions
  float* errors_[2];
};

}  // namespace bench

#endif  // BENCH_NETWORK_H_
