// What a sketch calls: steps on samples of its own, events to the PC, saves that come unasked.
#include <stdio.h>
#include <string.h>

#include "ram_storage.h"
#include "require.h"
#include "tfodl/board/device.h"
#include "tfodl/bytes.h"
#include "tfodl/linear_learner.h"

namespace {

uint32_t g_milliseconds = 0;

class Line final : public tfodl::ByteStream {
 public:
  uint32_t Read(uint8_t* data, uint32_t bytes) override {
    const uint32_t taken = bytes < in_bytes - first ? bytes : in_bytes - first;
    memcpy(data, in + first, taken);
    first += taken;
    return taken;
  }

  uint32_t Write(const uint8_t* data, uint32_t bytes) override {
    const uint32_t taken = bytes < room ? bytes : room;
    memcpy(out + out_bytes, data, taken);
    out_bytes += taken;
    return taken;
  }

  // The next frame that was sent.
  bool Next(tfodl::Frame* frame) {
    while (parsed < out_bytes) {
      if (reader.Take(out[parsed++], frame)) return true;
    }
    return false;
  }

  uint8_t in[1024], out[8192];
  uint32_t in_bytes = 0, first = 0, out_bytes = 0, parsed = 0, room = sizeof out;
  tfodl::FrameReader reader;
};

constexpr uint32_t kFeatures = 4;
constexpr uint32_t kClasses = 2;

struct Board {
  explicit Board(RamStorage* storage)
      : learner(tfodl::LinearModel(kFeatures, kClasses), arena, sizeof arena),
        device(&learner, storage, &line,
               tfodl::Clock{[]() { return g_milliseconds; }, []() -> uint32_t { return 0; }},
               "test") {}

  void Ask(uint8_t type, uint16_t sequence) {
    line.first = 0;
    line.in_bytes = EncodeFrame(tfodl::Frame{type, sequence, nullptr, 0}, line.in);
    device.poll();
  }

  alignas(4) uint8_t arena[tfodl::LinearLearner::ArenaBytes(kFeatures, kClasses)];
  tfodl::LinearLearner learner;
  Line line;
  tfodl::Device device;
};

void SamplesAreQuantizedAsOnThePc() {
  Board board(nullptr);
  Require(!board.device.save() && !board.device.reset(), "nothing before begin()");
  Require(!board.device.predict(reinterpret_cast<const int8_t*>("abcd")).ok, "no step either");
  Require(board.device.begin(), "begin");
  // Steps of 1/127: halves to even, then saturation.
  const float steps[][2] = {{0.5f, 0.0f},   {1.5f, 2.0f},     {2.5f, 2.0f},      {-0.5f, 0.0f},
                            {-1.5f, -2.0f}, {2.4f, 2.0f},     {-2.6f, -3.0f},    {127.0f, 127.0f},
                            {300.0f, 127.0f}, {-300.0f, -128.0f},
                            {1e30f, 127.0f}, {-1e30f, -128.0f}};
  const float scale = board.device.model().input_scale;
  for (const auto& step : steps) {
    const float value = step[0] * scale;
    if (value / scale != step[0]) continue;  // the quotient is not the half itself
    const float sample[kFeatures] = {value, 0.0f, 0.0f, 0.0f};
    Require(board.device.predict(sample).ok, "predict");
    Require(static_cast<int8_t*>(board.device.model().input)[0] == static_cast<int8_t>(step[1]),
            "the code of a value");
  }
  printf("samples are quantized as on the PC\n");
}

void ItLearnsAndTellsThePc() {
  RamStorage storage;
  Board board(&storage);
  Require(board.device.begin(), "begin");
  const float samples[2][kFeatures] = {{1.0f, -1.0f, 0.5f, 0.0f}, {-1.0f, 1.0f, -0.5f, 0.0f}};
  Require(!board.device.learn(samples[0], 2).ok && !board.device.learn(samples[0], -1).ok,
          "labels out of range");
  Require(board.device.stats()->samples == 0, "are no samples");
  Require(board.device.learn(samples[0], 0).trained, "learn");
  Require(board.line.out_bytes == 0, "no EVENT before a HELLO");

  tfodl::Frame frame;
  board.Ask(0x01, 77);
  Require(board.line.Next(&frame) && frame.type == 0x81 && frame.sequence == 77, "Hello");
  for (uint32_t i = 0; i < 60; ++i) {
    const int32_t label = static_cast<int32_t>(i % 2);
    const tfodl::Step step = board.device.learn(samples[label], label);
    Require(board.line.Next(&frame) && frame.type == 0x40 && frame.sequence == i, "EVENT");
    Require(frame.payload_bytes == 24, "a Step");
    Require(static_cast<int32_t>(tfodl::GetU32(frame.payload)) == step.prediction, "prediction");
    Require(tfodl::GetF32(frame.payload + 8) == step.loss, "loss");
  }
  Require(board.device.predict(samples[0]).prediction == 0, "class 0");
  Require(board.device.predict(samples[1]).prediction == 1, "class 1");
  while (board.line.Next(&frame)) {
  }

  // A line without room: the event is left out, its number tells so, and nothing waits.
  board.line.room = 0;
  for (uint32_t i = 0; i < 5; ++i) Require(board.device.predict(samples[0]).ok, "no waiting");
  board.line.room = sizeof board.line.out;
  board.device.poll();
  Require(board.device.predict(samples[0]).ok, "predict");
  Require(board.line.Next(&frame) && frame.sequence == 62, "the first that was stuck");
  Require(board.line.Next(&frame) && frame.sequence == 67, "the next one with room");

  const uint32_t learned = board.device.stats()->samples;
  Require(board.device.save() && board.device.reset(), "save and reset");
  Require(board.device.stats()->samples == 0, "as exported");
  Require(board.device.load() && board.device.stats()->samples == learned, "load");
  Board later(&storage);
  Require(later.device.begin() && later.device.stats()->samples == learned, "after a restart");
  printf("it learns and tells the PC\n");
}

void ItSavesByItself() {
  RamStorage storage;
  Board board(&storage);
  Require(board.device.begin(), "begin");
  board.device.saveEvery(10);
  const int8_t sample[kFeatures] = {100, 0, 0, 0};
  for (g_milliseconds = 0; g_milliseconds <= 35000; g_milliseconds += 500) {
    Require(board.device.learn(sample, 1).ok, "learn");
    board.device.poll();
  }
  Board later(&storage);
  Require(later.device.begin(), "begin again");
  // Saved after 10, 20 and 30 seconds; 61 samples until then.
  Require(later.device.stats()->samples == 61, "the state of the last save");
  printf("it saves by itself\n");
}

// Says half its input, learns nothing, and notes the targets of the last step.
class Half final : public tfodl::Learner {
 public:
  bool Begin() override {
    model_ = tfodl::ModelInfo{};
    model_.input = input;
    model_.input_bytes = 2;
    model_.input_type = tfodl::ElementType::kInt8;
    model_.input_scale = 0.5f;
    model_.target = target;
    model_.target_bytes = sizeof target;
    model_.output = output;
    model_.outputs = 2;
    model_.output_scale = 0.25f;
    model_.output_zero_point = -100;
    session_.state = &state;
    return true;
  }
  bool Reset() override { return true; }

  int8_t input[2] = {}, output[2] = {};
  float target[2] = {}, noted[2] = {};
  tfodl::State state = {};

 protected:
  tfodl::Step Run(int32_t label) override {
    for (int i = 0; i < 2; ++i) {
      output[i] = static_cast<int8_t>(input[i] - 100);
      noted[i] = target[i];
    }
    tfodl::Step step = {};
    step.ok = true;
    step.trained = label == 0;
    return step;
  }
};

void ARegressionSaysAndLearnsNumbers() {
  Half learner;
  Line line;
  const tfodl::Clock clock{[]() { return g_milliseconds; }, []() -> uint32_t { return 0; }};
  tfodl::Device device(&learner, nullptr, &line, clock, "test");
  const float sample[2] = {3.0f, -5.5f}, targets[2] = {1.25f, -8.0f};
  Require(!device.learnTargets(sample, targets).ok && device.output(0) == 0.0f, "before begin()");
  Require(device.begin() && device.predict(sample).ok, "predict");
  Require(device.output(0) == 1.5f && device.output(1) == -2.75f, "real values");
  Require(device.output(2) == 0.0f, "beyond the last output");
  Require(device.learnTargets(sample, targets).trained, "learnTargets");
  Require(learner.noted[0] == 1.25f && learner.noted[1] == -8.0f, "the targets");
  const int8_t codes[2] = {8, -4};
  Require(device.learnTargets(codes, sample).trained && learner.noted[1] == -5.5f, "int8");
  Require(device.output(0) == 2.0f && device.output(1) == -1.0f, "of that sample");

  RamStorage storage;
  Board classifier(&storage);
  Require(classifier.device.begin(), "begin");
  const float features[kFeatures] = {};
  Require(!classifier.device.learnTargets(features, targets).ok, "no targets in a classifier");
  printf("a regression says and learns numbers\n");
}

}  // namespace

int main() {
  SamplesAreQuantizedAsOnThePc();
  ItLearnsAndTellsThePc();
  ItSavesByItself();
  ARegressionSaysAndLearnsNumbers();
  return 0;
}
