// Two slots in memory that QEMU keeps in a file, treated like flash: writes only clear bits.
//
//   qemu-system-arm -M mps2-an386,memory-backend=storage
//     -object memory-backend-file,id=storage,size=16M,mem-path=FILE,share=on ...
//
// The file has every byte as soon as it is written, so QEMU can be killed at any moment. Without
// these options the memory is lost when QEMU ends.
#ifndef TFODL_ARDUINO_QEMU_STORAGE_H_
#define TFODL_ARDUINO_QEMU_STORAGE_H_

#include <stdint.h>
#include <string.h>

#include "tfodl/storage/storage.h"

namespace tfodl {

class QemuStorage final : public Storage {
 public:
  bool Begin() override { return true; }

  uint32_t SlotBytes() const override { return kSlotBytes; }

  bool Erase(uint32_t slot, uint32_t bytes) override {
    uint8_t* const to = At(slot, 0);
    for (uint32_t i = 0; i < bytes; ++i) to[i] = 0xFF;
    return true;
  }

  bool Write(uint32_t slot, uint32_t offset, const void* data, uint32_t bytes) override {
    uint8_t* const to = At(slot, offset);
    const uint8_t* const from = static_cast<const uint8_t*>(data);
    for (uint32_t i = 0; i < bytes; ++i) to[i] = static_cast<uint8_t>(to[i] & from[i]);
    return memcmp(to, from, bytes) == 0;
  }

  bool Sync(uint32_t) override { return true; }

  bool Read(uint32_t slot, uint32_t offset, void* data, uint32_t bytes) override {
    memcpy(data, At(slot, offset), bytes);
    return true;
  }

 private:
  static constexpr uint32_t kStart = 0x21000000;  // the 16 MB of PSRAM
  static constexpr uint32_t kSlotBytes = 1024 * 1024;

  static uint8_t* At(uint32_t slot, uint32_t offset) {
    return reinterpret_cast<uint8_t*>(kStart + slot * kSlotBytes + offset);
  }
};

}  // namespace tfodl

#endif  // TFODL_ARDUINO_QEMU_STORAGE_H_
