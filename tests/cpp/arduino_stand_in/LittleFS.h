// Stand-in for the ESP32's LittleFS: files in the working folder. As there, what was written to a
// file is in it when the file is closed; a file that is never closed keeps what it had.
#ifndef TFODL_TESTS_LITTLE_FS_H_
#define TFODL_TESTS_LITTLE_FS_H_

#include <stdint.h>
#include <stdio.h>
#include <string.h>

namespace fs {

class File {
 public:
  static constexpr size_t kMostBytes = 1 << 16;

  File() = default;
  File(const char* path, const char* mode) {
    snprintf(path_, sizeof path_, "./%s", path + 1);
    FILE* file = fopen(path_, "rb");
    if (file != nullptr && mode[0] != 'w') size_ = fread(data_, 1, sizeof data_, file);
    is_open_ = file != nullptr || mode[0] == 'w';
    writes_ = mode[0] == 'w' || mode[1] == '+';
    if (file != nullptr) fclose(file);
  }

  explicit operator bool() const { return is_open_; }

  bool seek(uint32_t position) {
    if (!is_open_ || position > size_) return false;
    position_ = position;
    return true;
  }

  size_t read(uint8_t* data, size_t bytes) {
    if (bytes > size_ - position_) bytes = size_ - position_;
    memcpy(data, data_ + position_, bytes);
    position_ += bytes;
    return bytes;
  }

  size_t write(const uint8_t* data, size_t bytes) {
    if (!is_open_ || !writes_ || bytes > kMostBytes - position_) return 0;
    memcpy(data_ + position_, data, bytes);
    position_ += bytes;
    if (position_ > size_) size_ = position_;
    return bytes;
  }

  void close() {
    if (is_open_ && writes_) {
      FILE* file = fopen(path_, "wb");
      if (file != nullptr) {
        fwrite(data_, 1, size_, file);
        fclose(file);
      }
    }
    is_open_ = false;
  }

 private:
  char path_[64] = {};
  uint8_t data_[kMostBytes] = {};
  size_t size_ = 0;
  size_t position_ = 0;
  bool is_open_ = false;
  bool writes_ = false;
};

}  // namespace fs

class LittleFsStandIn {
 public:
  bool begin(bool) { return true; }
  size_t totalBytes() { return 0x160000; }
  bool exists(const char* path) { return static_cast<bool>(fs::File(path, "r")); }
  fs::File open(const char* path, const char* mode) { return fs::File(path, mode); }
};

extern LittleFsStandIn LittleFS;

#endif  // TFODL_TESTS_LITTLE_FS_H_
