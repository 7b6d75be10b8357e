// The serial line as the link sees it. Nothing here waits.
#ifndef TFODL_LINK_BYTE_STREAM_H_
#define TFODL_LINK_BYTE_STREAM_H_

#include <stdint.h>

namespace tfodl {

class ByteStream {
 public:
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  // Takes up to `bytes` of what has arrived; returns how many.
  virtual uint32_t Read(uint8_t* data, uint32_t bytes) = 0;

  // Hands over as many of `bytes` as there is room for; returns how many.
  virtual uint32_t Write(const uint8_t* data, uint32_t bytes) = 0;

 protected:
  ByteStream() = default;
  ~ByteStream() = default;
};

}  // namespace tfodl

#endif  // TFODL_LINK_BYTE_STREAM_H_
