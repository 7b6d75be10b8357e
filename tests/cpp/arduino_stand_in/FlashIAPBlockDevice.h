// Stand-in for mbed's block device on the nRF52840's flash: pages of 4 KB, words of 4 bytes, and
// writes that only clear bits. As in mbed, 0 is success.
#ifndef TFODL_TESTS_FLASH_IAP_BLOCK_DEVICE_H_
#define TFODL_TESTS_FLASH_IAP_BLOCK_DEVICE_H_

#include <stdint.h>
#include <string.h>

constexpr uint32_t kStandInFlash = 0x100000;
extern uint8_t g_flash[kStandInFlash];

class FlashIAPBlockDevice {
 public:
  FlashIAPBlockDevice(uint32_t address, uint32_t size) : base_(address), size_(size) {}

  int init() { return base_ + size_ <= kStandInFlash ? 0 : -1; }
  int sync() { return 0; }
  uint64_t get_erase_size() const { return 4096; }
  uint64_t get_program_size() const { return 4; }

  int erase(uint64_t address, uint64_t size) {
    if (address % 4096 != 0 || size % 4096 != 0 || address + size > size_) return -1;
    memset(g_flash + base_ + address, 0xFF, size);
    return 0;
  }

  int program(const void* data, uint64_t address, uint64_t size) {
    if (address % 4 != 0 || size % 4 != 0 || address + size > size_) return -1;
    const uint8_t* from = static_cast<const uint8_t*>(data);
    for (uint64_t i = 0; i < size; ++i) g_flash[base_ + address + i] &= from[i];
    return 0;
  }

  int read(void* data, uint64_t address, uint64_t size) {
    if (address + size > size_) return -1;
    memcpy(data, g_flash + base_ + address, size);
    return 0;
  }

 private:
  uint64_t base_;
  uint64_t size_;
};

#endif  // TFODL_TESTS_FLASH_IAP_BLOCK_DEVICE_H_
