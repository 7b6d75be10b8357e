#include "tfodl/storage/slots.h"

#include <string.h>

#include "tfodl/crc.h"

namespace tfodl {
namespace {

// Sequence numbers may wrap around.
bool IsNewer(uint32_t sequence, uint32_t than) {
  return static_cast<int32_t>(sequence - than) > 0;
}

uint32_t RoundUp(uint32_t bytes) { return (bytes + kWriteUnit - 1) / kWriteUnit * kWriteUnit; }

}  // namespace

bool Slots::Begin(uint32_t model_id, uint32_t body_bytes) {
  model_id_ = model_id;
  body_bytes_ = body_bytes;
  has_image_ = is_writing_ = false;
  has_room_ = storage_ != nullptr && storage_->Begin() &&
              storage_->SlotBytes() >= kImageHeaderBytes + RoundUp(body_bytes);
  if (!has_room_) return false;
  for (uint32_t slot = 0; slot < 2; ++slot) {
    uint8_t bytes[kImageHeaderBytes];
    ImageHeader header;
    if (!storage_->Read(slot, 0, bytes, sizeof bytes) || !ReadImageHeader(bytes, &header) ||
        header.model_id != model_id || header.body_bytes != body_bytes ||
        (has_image_ && !IsNewer(header.sequence, current_.sequence)) ||
        !BodyIsWhole(slot, header)) {
      continue;
    }
    has_image_ = true;
    slot_ = slot;
    current_ = header;
  }
  return true;
}

bool Slots::BodyIsWhole(uint32_t slot, const ImageHeader& header) const {
  uint8_t piece[kChunkBytes];
  uint32_t crc = 0;
  for (uint32_t offset = 0; offset < header.body_bytes; offset += sizeof piece) {
    const uint32_t left = header.body_bytes - offset;
    const uint32_t bytes = left < sizeof piece ? left : static_cast<uint32_t>(sizeof piece);
    if (!storage_->Read(slot, kImageHeaderBytes + offset, piece, bytes)) return false;
    crc = Crc32(piece, bytes, crc);
  }
  return crc == header.body_crc;
}

bool Slots::ReadBody(uint32_t offset, void* data, uint32_t bytes) const {
  return has_image_ && storage_->Read(slot_, kImageHeaderBytes + offset, data, bytes);
}

bool Slots::StartWrite() {
  if (!has_room_) return false;
  body_crc_ = 0;
  appended_ = 0;
  is_writing_ = storage_->Erase(free_slot(), kImageHeaderBytes + RoundUp(body_bytes_));
  return is_writing_;
}

bool Slots::AppendBody(const void* data, uint32_t bytes) {
  if (!is_writing_ || bytes > body_bytes_ - appended_) return false;
  body_crc_ = Crc32(data, bytes, body_crc_);
  const uint8_t* from = static_cast<const uint8_t*>(data);
  while (bytes > 0) {
    const uint32_t filled = appended_ % kChunkBytes;
    const uint32_t room = kChunkBytes - filled;
    const uint32_t piece = bytes < room ? bytes : room;
    memcpy(chunk_ + filled, from, piece);
    appended_ += piece;
    from += piece;
    bytes -= piece;
    if ((appended_ % kChunkBytes == 0 || appended_ == body_bytes_) && !FlushChunk()) {
      is_writing_ = false;
      return false;
    }
  }
  return true;
}

// Writes the chunk that is full or the last one.
bool Slots::FlushChunk() {
  const uint32_t start = (appended_ - 1) / kChunkBytes * kChunkBytes;
  const uint32_t bytes = appended_ - start;
  memset(chunk_ + bytes, 0xFF, kChunkBytes - bytes);
  return storage_->Write(free_slot(), kImageHeaderBytes + start, chunk_, RoundUp(bytes));
}

bool Slots::ReadWritten(uint32_t offset, void* data, uint32_t bytes) {
  return is_writing_ && appended_ == body_bytes_ &&
         storage_->Read(free_slot(), kImageHeaderBytes + offset, data, bytes);
}

bool Slots::Commit() {
  if (!is_writing_) return false;
  is_writing_ = false;
  if (appended_ != body_bytes_) return false;
  uint32_t sequence = current_.sequence + 1;
  if (!has_image_ || sequence == 0) sequence = 1;  // 0 is an image that was never saved
  const ImageHeader header = {model_id_, sequence, body_bytes_, body_crc_};
  uint8_t bytes[kImageHeaderBytes];
  uint8_t written[kImageHeaderBytes];
  WriteImageHeader(header, bytes);
  const uint32_t slot = free_slot();
  // Read back: worn flash does not say that it failed.
  if (!storage_->Sync(slot) || !BodyIsWhole(slot, header) ||
      !storage_->Write(slot, 0, bytes, sizeof bytes) || !storage_->Sync(slot) ||
      !storage_->Read(slot, 0, written, sizeof written) ||
      memcmp(bytes, written, sizeof bytes) != 0) {
    return false;
  }
  has_image_ = true;
  slot_ = slot;
  current_ = header;
  return true;
}

bool Slots::EraseAll() {
  is_writing_ = false;
  if (!has_room_) return false;
  const uint32_t bytes = kImageHeaderBytes + RoundUp(body_bytes_);
  const uint32_t older_first[] = {free_slot(), 1 - free_slot()};
  for (const uint32_t slot : older_first) {
    if (storage_->Erase(slot, bytes) && storage_->Sync(slot)) continue;
    Begin(model_id_, body_bytes_);  // what is left
    return false;
  }
  has_image_ = false;
  return true;
}

}  // namespace tfodl
