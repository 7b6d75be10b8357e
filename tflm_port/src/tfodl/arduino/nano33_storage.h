// Two slots at the end of the nRF52840's flash, where a sketch of less than 800 KB does not reach.
//
// The slots are used directly, not through mbed's TDBStore or LittleFS: the order of writes that
// Slots keeps is all that a power cut needs, and the images are found without mounting anything.
// Uploading a sketch erases the flash, and what was learned with it.
#ifndef TFODL_ARDUINO_NANO33_STORAGE_H_
#define TFODL_ARDUINO_NANO33_STORAGE_H_

#include <FlashIAP.h>
#include <FlashIAPBlockDevice.h>

#include "tfodl/storage/storage.h"

namespace tfodl {

class Nano33Storage final : public Storage {
 public:
  Nano33Storage() : flash_(kStart, 2 * kSlotBytes) {}

  bool Begin() override {
    if (FLASHIAP_APP_ROM_END_ADDR > kStart) return false;  // the sketch itself lies there
    is_open_ = is_open_ || flash_.init() == 0;
    return is_open_ && kWriteUnit % flash_.get_program_size() == 0 &&
           kSlotBytes % flash_.get_erase_size() == 0;
  }

  uint32_t SlotBytes() const override { return kSlotBytes; }

  bool Erase(uint32_t slot, uint32_t bytes) override {
    const uint32_t page = static_cast<uint32_t>(flash_.get_erase_size());
    return flash_.erase(slot * kSlotBytes, (bytes + page - 1) / page * page) == 0;
  }

  bool Write(uint32_t slot, uint32_t offset, const void* data, uint32_t bytes) override {
    return flash_.program(data, slot * kSlotBytes + offset, bytes) == 0;
  }

  bool Sync(uint32_t) override { return flash_.sync() == 0; }

  bool Read(uint32_t slot, uint32_t offset, void* data, uint32_t bytes) override {
    return flash_.read(data, slot * kSlotBytes + offset, bytes) == 0;
  }

 private:
  static constexpr uint32_t kFlashEnd = 0x100000;
  static constexpr uint32_t kSlotBytes = 64 * 1024;
  static constexpr uint32_t kStart = kFlashEnd - 2 * kSlotBytes;

  FlashIAPBlockDevice flash_;
  bool is_open_ = false;
};

}  // namespace tfodl

#endif  // TFODL_ARDUINO_NANO33_STORAGE_H_
