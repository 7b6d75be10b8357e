#include "tfodl/storage/keeper.h"

#include <string.h>

#include "tfodl/float_math.h"
#include "tfodl/storage/state_image.h"
#include "tfodl/float_contract.h"

namespace tfodl {

uint32_t Keeper::image_bytes() const {
  return kImageHeaderBytes + ImageBodyBytes(learner_.session());
}

void Keeper::Begin() {
  was_loaded_ = false;
  received_ = 0;
  if (!slots_.Begin(learner_.model().id, ImageBodyBytes(learner_.session()))) return;
  was_loaded_ = Load() == Kept::kOk;
}

Kept Keeper::Save() {
  if (!slots_.has_room()) return Kept::kNoStorage;
  received_ = 0;  // an image that was coming in has lost its slot
  const Session& session = learner_.session();
  bool ok = slots_.StartWrite();
  for (uint32_t i = 0; ok && i < ImageParts(session); ++i) {
    const Variable part = ImagePart(session, i);
    ok = slots_.AppendBody(part.data, part.bytes);
  }
  ok = ok && slots_.Commit();
  ++(ok ? saves_ : failed_saves_);
  return ok ? Kept::kOk : Kept::kFailed;
}

Kept Keeper::Load() {
  if (!slots_.has_room()) return Kept::kNoStorage;
  if (!slots_.has_image()) return Kept::kNothingSaved;
  const Session& session = learner_.session();
  State state;
  if (!slots_.ReadBody(0, &state, sizeof state)) return Kept::kFailed;
  if (!StateIsUsable(state, learner_.model().id)) return Kept::kDamaged;
  uint32_t offset = 0;
  for (uint32_t i = 0; i < ImageParts(session); ++i) {
    const Variable part = ImagePart(session, i);
    if (!slots_.ReadBody(offset, part.data, part.bytes)) {
      learner_.Reset();  // not a mixture
      return Kept::kFailed;
    }
    offset += part.bytes;
  }
  return Kept::kOk;
}

Kept Keeper::Erase() {
  if (!slots_.has_room()) return Kept::kNoStorage;
  received_ = 0;
  return slots_.EraseAll() ? Kept::kOk : Kept::kFailed;
}

Kept Keeper::Write(uint32_t offset, const uint8_t* data, uint32_t bytes) {
  if (!slots_.has_room()) return Kept::kNoStorage;
  if (offset == 0) received_ = 0;
  if (offset != received_ || bytes > image_bytes() - received_) return Kept::kOutOfOrder;
  while (bytes > 0 && received_ < kImageHeaderBytes) {
    incoming_header_[received_++] = *data++;
    --bytes;
    if (received_ < kImageHeaderBytes) continue;
    if (!ReadImageHeader(incoming_header_, &incoming_) ||
        incoming_.model_id != learner_.model().id ||
        incoming_.body_bytes != image_bytes() - kImageHeaderBytes) {
      received_ = 0;
      return Kept::kDamaged;
    }
    if (!slots_.StartWrite()) {
      received_ = 0;
      return Kept::kFailed;
    }
  }
  if (bytes > 0 && !slots_.AppendBody(data, bytes)) {
    received_ = 0;
    return Kept::kFailed;
  }
  received_ += bytes;
  return received_ == image_bytes() ? CommitWritten() : Kept::kOk;
}

Kept Keeper::CommitWritten() {
  received_ = 0;
  State state;
  if (!slots_.ReadWritten(0, &state, sizeof state)) return Kept::kFailed;
  if (slots_.body_crc() != incoming_.body_crc || !StateIsUsable(state, incoming_.model_id)) {
    return Kept::kDamaged;
  }
  if (!slots_.Commit()) {
    ++failed_saves_;
    return Kept::kFailed;
  }
  ++saves_;
  return Load();
}

void Keeper::ReadImage(uint32_t offset, uint8_t* data, uint32_t bytes) const {
  const Session& session = learner_.session();
  if (offset < kImageHeaderBytes && bytes > 0) {
    uint8_t header[kImageHeaderBytes];
    WriteImageHeader(ImageHeader{learner_.model().id, 0, ImageBodyBytes(session),
                                 ImageBodyCrc(session)}, header);
    const uint32_t left = kImageHeaderBytes - offset;
    const uint32_t piece = bytes < left ? bytes : left;
    memcpy(data, header + offset, piece);
    offset += piece;
    data += piece;
    bytes -= piece;
  }
  if (bytes > 0) CopyFromBody(session, offset - kImageHeaderBytes, data, bytes);
}

void Keeper::CountStep(const Step& step) {
  if (!step.ok || step.loss < 0.0f || !IsFinite(step.loss)) return;
  ++steps_;
  loss_sum_ += step.loss;
}

void Keeper::Poll(uint32_t now) {
  if (interval_ == 0 || now - last_look_ < interval_) return;
  last_look_ = now;
  if (steps_ == 0) return;
  const float loss = loss_sum_ / static_cast<float>(steps_);
  steps_ = 0;
  loss_sum_ = 0.0f;
  if (only_improvements_ && has_best_ && !(loss < best_loss_)) return;
  // A failed save is tried again after the next interval in which something is learned.
  if (Save() == Kept::kOk) {
    has_best_ = true;
    best_loss_ = loss;
  }
}

}  // namespace tfodl
