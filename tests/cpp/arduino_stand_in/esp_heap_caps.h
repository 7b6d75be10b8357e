// Stand-in for ESP-IDF's heap.
#ifndef TFODL_TESTS_ESP_HEAP_CAPS_H_
#define TFODL_TESTS_ESP_HEAP_CAPS_H_

#include <stdlib.h>

#define MALLOC_CAP_8BIT 4

inline void* heap_caps_aligned_alloc(size_t alignment, size_t bytes, int) {
  return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

#endif  // TFODL_TESTS_ESP_HEAP_CAPS_H_
