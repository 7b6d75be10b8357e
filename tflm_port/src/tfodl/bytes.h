// Little-endian numbers in byte buffers of any alignment.
#ifndef TFODL_BYTES_H_
#define TFODL_BYTES_H_

#include <stdint.h>
#include <string.h>

namespace tfodl {

inline uint16_t GetU16(const uint8_t* from) {
  return static_cast<uint16_t>(from[0] | (from[1] << 8));
}

inline uint32_t GetU32(const uint8_t* from) {
  return from[0] | (uint32_t{from[1]} << 8) | (uint32_t{from[2]} << 16) |
         (uint32_t{from[3]} << 24);
}

inline float GetF32(const uint8_t* from) {
  const uint32_t bits = GetU32(from);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

inline void PutU16(uint8_t* to, uint32_t value) {
  to[0] = static_cast<uint8_t>(value);
  to[1] = static_cast<uint8_t>(value >> 8);
}

inline void PutU32(uint8_t* to, uint32_t value) {
  PutU16(to, value);
  PutU16(to + 2, value >> 16);
}

// Writes one value after the other; the caller knows that they fit.
class ByteWriter {
 public:
  explicit ByteWriter(uint8_t* to) : start_(to), end_(to) {}

  void U8(uint32_t value) { *end_++ = static_cast<uint8_t>(value); }
  void U16(uint32_t value) {
    PutU16(end_, value);
    end_ += 2;
  }
  void U32(uint32_t value) {
    PutU32(end_, value);
    end_ += 4;
  }
  void I32(int32_t value) { U32(static_cast<uint32_t>(value)); }
  void F32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    U32(bits);
  }
  // A counter of two words, low and high.
  void U64(const uint32_t words[2]) {
    U32(words[0]);
    U32(words[1]);
  }
  // One byte with the length, then at most `most` characters.
  void Text(const char* text, uint32_t most) {
    uint32_t length = 0;
    while (length < most && text[length] != '\0') ++length;
    U8(length);
    memcpy(end_, text, length);
    end_ += length;
  }

  // Bytes that something else has written.
  void Skip(uint32_t bytes) { end_ += bytes; }

  uint32_t size() const { return static_cast<uint32_t>(end_ - start_); }

 private:
  uint8_t* start_;
  uint8_t* end_;
};

}  // namespace tfodl

#endif  // TFODL_BYTES_H_
