// Arduino's Stream (Serial and others) as the link sees it.
#ifndef TFODL_ARDUINO_STREAM_H_
#define TFODL_ARDUINO_STREAM_H_

#include <stdint.h>

#include "tfodl/link/byte_stream.h"

namespace tfodl {

// ArduinoStream has available(), read(), availableForWrite() and write(data, bytes).
template <class ArduinoStream>
class StreamAdaptor final : public ByteStream {
 public:
  explicit StreamAdaptor(ArduinoStream& stream) : stream_(stream) {}

  uint32_t Read(uint8_t* data, uint32_t bytes) override {
    uint32_t taken = 0;
    while (taken < bytes && stream_.available() > 0) {
      const int byte = stream_.read();
      if (byte < 0) break;
      data[taken++] = static_cast<uint8_t>(byte);
    }
    return taken;
  }

  uint32_t Write(const uint8_t* data, uint32_t bytes) override {
    // 0 also stands for "cannot tell", so then everything goes out at once: a frame is short.
    const int room = stream_.availableForWrite();
    const uint32_t most = room > 0 ? static_cast<uint32_t>(room) : bytes;
    return static_cast<uint32_t>(stream_.write(data, bytes < most ? bytes : most));
  }

 private:
  ArduinoStream& stream_;
};

}  // namespace tfodl

#endif  // TFODL_ARDUINO_STREAM_H_
