// Memory that survives a power cut: two slots, each erased as a whole and then written in order.
#ifndef TFODL_STORAGE_STORAGE_H_
#define TFODL_STORAGE_STORAGE_H_

#include <stdint.h>

namespace tfodl {

// Writes start at and have lengths of multiples of this: flash cannot take less.
constexpr uint32_t kWriteUnit = 32;

// All functions return false when the memory failed. slot is 0 or 1.
class Storage {
 public:
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  // Opens the memory. False: there is none.
  virtual bool Begin() = 0;

  // Room in each slot. Valid after Begin().
  virtual uint32_t SlotBytes() const = 0;

  // Makes the first `bytes` of a slot writable. A power cut may leave anything in the slot.
  virtual bool Erase(uint32_t slot, uint32_t bytes) = 0;

  // Of a range that was erased and not written since.
  virtual bool Write(uint32_t slot, uint32_t offset, const void* data, uint32_t bytes) = 0;

  // What was written before is permanent, and nothing that is written later can be so without it.
  virtual bool Sync(uint32_t slot) = 0;

  // Never written memory gives anything, or false.
  virtual bool Read(uint32_t slot, uint32_t offset, void* data, uint32_t bytes) = 0;

 protected:
  Storage() = default;
  ~Storage() = default;
};

}  // namespace tfodl

#endif  // TFODL_STORAGE_STORAGE_H_
