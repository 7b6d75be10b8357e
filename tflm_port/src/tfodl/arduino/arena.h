// Memory for a model: 16-byte aligned, one per kBytes and Tag.
//
// Static, but on an ESP32 taken from the heap, once: its linker gives static variables about 120 KB
// of the 320 KB.
#ifndef TFODL_ARDUINO_ARENA_H_
#define TFODL_ARDUINO_ARENA_H_

#include <stdint.h>

#if defined(ARDUINO_ARCH_ESP32)
#include <esp_heap_caps.h>
#endif

namespace tfodl {

// Null when there is not enough.
template <uint32_t kBytes, int kTag = 0>
uint8_t* MakeArena() {
#if defined(ARDUINO_ARCH_ESP32)
  static uint8_t* const arena =
      static_cast<uint8_t*>(heap_caps_aligned_alloc(16, kBytes, MALLOC_CAP_8BIT));
#else
  alignas(16) static uint8_t arena[kBytes];
#endif
  return arena;
}

}  // namespace tfodl

#endif  // TFODL_ARDUINO_ARENA_H_
