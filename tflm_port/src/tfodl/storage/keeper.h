// Keeps what a learner has learned in a storage: saves, loads, and takes state images from outside.
#ifndef TFODL_STORAGE_KEEPER_H_
#define TFODL_STORAGE_KEEPER_H_

#include <stdint.h>

#include "tfodl/learner.h"
#include "tfodl/storage/slots.h"

namespace tfodl {

enum class Kept : uint8_t {
  kOk,
  kNoStorage,
  kNothingSaved,  // for this model
  kFailed,        // the storage
  kOutOfOrder,    // a piece of an image that does not follow the last one
  kDamaged,       // an image that is not whole, or of another model
};

class Keeper {
 public:
  // storage may be null. Both have to stay.
  Keeper(Learner* learner, Storage* storage) : learner_(*learner), slots_(storage) {}

  // After Learner::Begin(): opens the storage and loads what was saved last, if there is anything.
  void Begin();

  Kept Save();
  Kept Load();
  // Everything saved is gone; the learner stays as it is.
  Kept Erase();

  // A state image (header and body) in pieces that follow each other. With its last byte it becomes
  // the saved state and is loaded; until then nothing has changed. offset 0 starts again.
  Kept Write(uint32_t offset, const uint8_t* data, uint32_t bytes);

  // Of the state image of this moment, its sequence number 0.
  // Requires offset + bytes <= image_bytes().
  void ReadImage(uint32_t offset, uint8_t* data, uint32_t bytes) const;

  // Saves by itself every so often if something was learned since; 0 never. Bounds the wear: flash
  // takes some 10,000 saves per slot.
  void SaveEvery(uint32_t milliseconds) {
    interval_ = milliseconds;
    only_improvements_ = false;
  }
  // The same, but only if the mean loss since the last look is below that of the last save.
  void SaveWhenImproved(uint32_t milliseconds) {
    interval_ = milliseconds;
    only_improvements_ = true;
  }
  void CountStep(const Step& step);
  void Poll(uint32_t now);

  bool has_storage() const { return slots_.has_room(); }
  bool was_loaded() const { return was_loaded_; }  // by Begin()
  uint32_t saves() const { return saves_; }
  uint32_t failed_saves() const { return failed_saves_; }
  uint32_t sequence() const { return slots_.sequence(); }
  uint32_t image_bytes() const;

 private:
  Kept CommitWritten();

  Learner& learner_;
  Slots slots_;
  bool was_loaded_ = false;
  uint32_t saves_ = 0;
  uint32_t failed_saves_ = 0;

  ImageHeader incoming_ = {};
  uint8_t incoming_header_[kImageHeaderBytes] = {};
  uint32_t received_ = 0;  // bytes of the incoming image

  uint32_t interval_ = 0;
  bool only_improvements_ = false;
  uint32_t last_look_ = 0;
  uint32_t steps_ = 0;  // labelled ones since the last look
  float loss_sum_ = 0.0f;
  bool has_best_ = false;
  float best_loss_ = 0.0f;
};

}  // namespace tfodl

#endif  // TFODL_STORAGE_KEEPER_H_
