// Two slots of a storage, one of which holds the newest whole state image.
//
// A new image goes to the other slot, its body first and its header last. Until the header is whole
// the old image is the newest, so a power cut at any byte leaves the old or the new state.
#ifndef TFODL_STORAGE_SLOTS_H_
#define TFODL_STORAGE_SLOTS_H_

#include <stdint.h>

#include "tfodl/storage/image_header.h"
#include "tfodl/storage/storage.h"

namespace tfodl {

class Slots {
 public:
  // storage may be null: then there never is room.
  explicit Slots(Storage* storage) : storage_(storage) {}

  // Opens the storage and looks for the newest whole image of this model. Images of other models
  // count for nothing. False: no storage, or too small a one.
  bool Begin(uint32_t model_id, uint32_t body_bytes);

  bool has_room() const { return has_room_; }
  bool has_image() const { return has_image_; }
  uint32_t sequence() const { return has_image_ ? current_.sequence : 0; }

  // Of the body of the newest image.
  bool ReadBody(uint32_t offset, void* data, uint32_t bytes) const;

  // A new image: StartWrite, AppendBody until the body is complete, Commit. Anything else in
  // between gives the new image up.
  bool StartWrite();
  bool AppendBody(const void* data, uint32_t bytes);
  // CRC-32 of what was appended, and the body so far as it lies in the storage.
  uint32_t body_crc() const { return body_crc_; }
  bool ReadWritten(uint32_t offset, void* data, uint32_t bytes);
  // Makes it the newest image, or returns false and leaves the old one.
  bool Commit();

  // Forgets all images, the older one first.
  bool EraseAll();

 private:
  // The body is programmed in pieces of this size.
  static constexpr uint32_t kChunkBytes = 4 * kWriteUnit;

  uint32_t free_slot() const { return has_image_ ? 1 - slot_ : 0; }
  bool BodyIsWhole(uint32_t slot, const ImageHeader& header) const;
  bool FlushChunk();

  Storage* const storage_;
  bool has_room_ = false;
  bool has_image_ = false;
  uint32_t slot_ = 0;
  ImageHeader current_ = {};
  uint32_t model_id_ = 0;
  uint32_t body_bytes_ = 0;

  bool is_writing_ = false;
  uint32_t body_crc_ = 0;
  uint32_t appended_ = 0;
  uint8_t chunk_[kChunkBytes] = {};
};

}  // namespace tfodl

#endif  // TFODL_STORAGE_SLOTS_H_
