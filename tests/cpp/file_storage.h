// Two slots in a file of a PC.
#ifndef TFODL_TESTS_FILE_STORAGE_H_
#define TFODL_TESTS_FILE_STORAGE_H_

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tfodl/storage/storage.h"

class FileStorage final : public tfodl::Storage {
 public:
  FileStorage(const char* path, uint32_t slot_bytes) : path_(path), slot_bytes_(slot_bytes) {}

  bool Begin() override {
    if (file_ < 0) file_ = open(path_, O_RDWR | O_CREAT, 0644);
    return file_ >= 0;
  }

  uint32_t SlotBytes() const override { return slot_bytes_; }

  bool Erase(uint32_t slot, uint32_t bytes) override {
    uint8_t erased[256];
    memset(erased, 0xFF, sizeof erased);
    for (uint32_t offset = 0; offset < bytes; offset += sizeof erased) {
      const uint32_t left = bytes - offset;
      if (!Write(slot, offset, erased, left < sizeof erased ? left : sizeof erased)) return false;
    }
    return true;
  }

  bool Write(uint32_t slot, uint32_t offset, const void* data, uint32_t bytes) override {
    return pwrite(file_, data, bytes, Position(slot, offset)) == static_cast<ssize_t>(bytes);
  }

  bool Sync(uint32_t) override { return fsync(file_) == 0; }

  bool Read(uint32_t slot, uint32_t offset, void* data, uint32_t bytes) override {
    return pread(file_, data, bytes, Position(slot, offset)) == static_cast<ssize_t>(bytes);
  }

 private:
  off_t Position(uint32_t slot, uint32_t offset) const {
    return static_cast<off_t>(slot) * slot_bytes_ + offset;
  }

  const char* const path_;
  const uint32_t slot_bytes_;
  int file_ = -1;
};

#endif  // TFODL_TESTS_FILE_STORAGE_H_
