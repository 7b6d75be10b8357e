// A learning model with its storage and its serial line: what a sketch works with.
#ifndef TFODL_BOARD_DEVICE_H_
#define TFODL_BOARD_DEVICE_H_

#include <stdint.h>

#include "tfodl/learner.h"
#include "tfodl/link/link.h"
#include "tfodl/storage/keeper.h"

namespace tfodl {

class Device {
 public:
  // All have to stay. storage may be null: then nothing is kept.
  Device(Learner* learner, Storage* storage, ByteStream* stream, const Clock& clock,
         const char* board)
      : learner_(*learner), keeper_(learner, storage),
        link_(learner, &keeper_, stream, clock, board), clock_(clock) {}

  // Sets the model up and loads what was saved last. False: the model or its arena is unusable.
  bool begin();

  // Answers the PC and saves when it is time; call it in loop(). Never waits for the serial line.
  void poll();

  // One step on a sample of the model's input: real values, or the bytes of an int8 model.
  // `ok` of the result is false when the sample has another type than the model, the label is out
  // of range or the step failed.
  Step predict(const float* sample);
  Step predict(const int8_t* sample);
  Step learn(const float* sample, int32_t label);
  Step learn(const int8_t* sample, int32_t label);
  // A regression learns the wanted outputs, in real units; an autoencoder its sample, with label 0.
  Step learnTargets(const float* sample, const float* targets);
  Step learnTargets(const int8_t* sample, const float* targets);

  // The i-th output at the last predict(), in real units: what a regression says, or how an
  // autoencoder restores the sample. 0 where there is none.
  float output(uint32_t i) const;

  // Counters; null before begin().
  const State* stats() const { return learner_.session().state; }

  bool save() { return is_ready_ && keeper_.Save() == Kept::kOk; }
  bool load() { return is_ready_ && keeper_.Load() == Kept::kOk; }
  // As exported; what was saved stays.
  bool reset() { return is_ready_ && learner_.Reset(); }
  // When something was learned, or when the mean loss fell below that of the last save.
  void saveEvery(uint32_t seconds) { keeper_.SaveEvery(seconds * 1000); }
  void saveWhenImproved(uint32_t seconds) { keeper_.SaveWhenImproved(seconds * 1000); }

  const ModelInfo& model() const { return learner_.model(); }

 private:
  bool SetInput(const float* sample);
  bool SetInput(const int8_t* sample);
  bool SetTarget(const float* targets);
  Step RunOnInput(bool is_set, bool learns, int32_t label);

  Learner& learner_;
  Keeper keeper_;
  Link link_;
  const Clock clock_;
  bool is_ready_ = false;
};

}  // namespace tfodl

#endif  // TFODL_BOARD_DEVICE_H_
