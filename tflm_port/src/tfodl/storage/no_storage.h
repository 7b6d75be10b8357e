// For boards whose flash this library does not know: the sketch works, nothing is kept.
#ifndef TFODL_STORAGE_NO_STORAGE_H_
#define TFODL_STORAGE_NO_STORAGE_H_

#include "tfodl/storage/storage.h"

namespace tfodl {

class NoStorage final : public Storage {
 public:
  bool Begin() override { return false; }
  uint32_t SlotBytes() const override { return 0; }
  bool Erase(uint32_t, uint32_t) override { return false; }
  bool Write(uint32_t, uint32_t, const void*, uint32_t) override { return false; }
  bool Sync(uint32_t) override { return false; }
  bool Read(uint32_t, uint32_t, void*, uint32_t) override { return false; }
};

}  // namespace tfodl

#endif  // TFODL_STORAGE_NO_STORAGE_H_
