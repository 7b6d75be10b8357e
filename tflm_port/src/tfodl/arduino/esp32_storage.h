// Two files in the LittleFS of an ESP32.
//
// Not a raw partition: the default partition tables have one data partition, which a sketch may
// want for its own files. Not Preferences: their partition has 20 KB. A partition that holds no
// LittleFS yet is formatted.
#ifndef TFODL_ARDUINO_ESP32_STORAGE_H_
#define TFODL_ARDUINO_ESP32_STORAGE_H_

#include <LittleFS.h>

#include "tfodl/storage/storage.h"

namespace tfodl {

class Esp32Storage final : public Storage {
 public:
  bool Begin() override {
    is_open_ = is_open_ || LittleFS.begin(true);
    return is_open_;
  }

  // Of each file, so that both fit.
  uint32_t SlotBytes() const override {
    return static_cast<uint32_t>(LittleFS.totalBytes() / 3);
  }

  // A new file with room for the header, which is written last but lies first.
  bool Erase(uint32_t slot, uint32_t) override {
    const uint8_t header[kWriteUnit] = {};
    return Open(slot, kWriting) && Put(0, header, sizeof header);
  }

  bool Write(uint32_t slot, uint32_t offset, const void* data, uint32_t bytes) override {
    return Open(slot, kChanging) && Put(offset, data, bytes);
  }

  // LittleFS makes what was written permanent when the file is closed, all or nothing.
  bool Sync(uint32_t) override {
    Close();
    return true;
  }

  bool Read(uint32_t slot, uint32_t offset, void* data, uint32_t bytes) override {
    return Open(slot, kReading) && file_.seek(offset) &&
           file_.read(static_cast<uint8_t*>(data), bytes) == bytes;
  }

 private:
  enum Mode { kClosed, kReading, kWriting, kChanging };

  static const char* Path(uint32_t slot) { return slot == 0 ? "/tfodl.0" : "/tfodl.1"; }

  bool Open(uint32_t slot, Mode mode) {
    if (slot == slot_ && (mode == mode_ || (mode == kChanging && mode_ == kWriting))) return true;
    Close();
    if (mode == kReading && !LittleFS.exists(Path(slot))) return false;
    file_ = LittleFS.open(Path(slot), mode == kReading ? "r" : mode == kWriting ? "w" : "r+");
    if (!file_) return false;
    slot_ = slot;
    mode_ = mode;
    return true;
  }

  void Close() {
    if (mode_ != kClosed) file_.close();
    mode_ = kClosed;
  }

  bool Put(uint32_t offset, const void* data, uint32_t bytes) {
    return file_.seek(offset) && file_.write(static_cast<const uint8_t*>(data), bytes) == bytes;
  }

  fs::File file_;
  uint32_t slot_ = 0;
  Mode mode_ = kClosed;
  bool is_open_ = false;
};

}  // namespace tfodl

#endif  // TFODL_ARDUINO_ESP32_STORAGE_H_
