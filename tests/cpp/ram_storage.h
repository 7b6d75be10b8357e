// Two slots in memory that behave like flash, with a power supply that can fail at any byte.
#ifndef TFODL_TESTS_RAM_STORAGE_H_
#define TFODL_TESTS_RAM_STORAGE_H_

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tfodl/storage/storage.h"

class RamStorage final : public tfodl::Storage {
 public:
  static constexpr uint32_t kSlotBytes = 512;
  static constexpr uint32_t kNever = 0xffffffffu;

  RamStorage() { memset(slots, 0, sizeof slots); }

  bool Begin() override { return exists; }
  uint32_t SlotBytes() const override { return kSlotBytes; }

  // Every byte erased or written costs one of `power`. The byte at which it ends is left as
  // `torn`, and of an erase, which works on all cells at once, all that follow, too.
  bool Erase(uint32_t slot, uint32_t bytes) override {
    Check(slot, 0, bytes);
    for (uint32_t i = 0; i < bytes; ++i) {
      if (!Spend()) {
        for (; i < bytes; ++i) slots[slot][i] ^= torn;
        return false;
      }
      slots[slot][i] = 0xFF;
    }
    return true;
  }

  bool Write(uint32_t slot, uint32_t offset, const void* data, uint32_t bytes) override {
    Check(slot, offset, bytes);
    if (offset % tfodl::kWriteUnit != 0 || bytes % tfodl::kWriteUnit != 0) abort();
    const uint8_t* from = static_cast<const uint8_t*>(data);
    for (uint32_t i = 0; i < bytes; ++i) {
      uint8_t& cell = slots[slot][offset + i];
      if (cell != 0xFF && power > 0) abort();  // written twice, or never erased
      if (!Spend()) {
        if (is_torn_) return false;
        is_torn_ = true;
        cell = static_cast<uint8_t>(from[i] | torn);
        return false;
      }
      cell = from[i];
    }
    return true;
  }

  bool Sync(uint32_t) override { return power > 0; }

  bool Read(uint32_t slot, uint32_t offset, void* data, uint32_t bytes) override {
    Check(slot, offset, bytes);
    memcpy(data, slots[slot] + offset, bytes);
    return true;
  }

  void Restore(uint32_t new_power) {
    power = new_power;
    is_torn_ = false;
  }

  uint8_t slots[2][kSlotBytes];
  uint32_t power = kNever;
  uint8_t torn = 0;
  bool exists = true;

 private:
  bool Spend() {
    if (power == kNever) return true;
    if (power == 0) return false;
    --power;
    return true;
  }

  void Check(uint32_t slot, uint32_t offset, uint32_t bytes) const {
    if (slot > 1 || offset > kSlotBytes || bytes > kSlotBytes - offset) abort();
  }

  bool is_torn_ = false;
};

#endif  // TFODL_TESTS_RAM_STORAGE_H_
