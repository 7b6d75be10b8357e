// A Device with an Arduino's clock and serial line.
#ifndef TFODL_ARDUINO_ARDUINO_DEVICE_H_
#define TFODL_ARDUINO_ARDUINO_DEVICE_H_

#include <Arduino.h>

#include "tfodl/arduino/stream.h"
#include "tfodl/board/device.h"

namespace tfodl {

#if defined(ARDUINO_ARDUINO_NANO33BLE)
constexpr const char* kBoard = "nano33";
#elif defined(ARDUINO_ARCH_ESP32)
constexpr const char* kBoard = "esp32";
#elif defined(ARDUINO_QEMU_MPS2)
constexpr const char* kBoard = "qemu";
#else
constexpr const char* kBoard = "arduino";
#endif

inline uint32_t ArduinoMilliseconds() { return static_cast<uint32_t>(millis()); }
inline uint32_t ArduinoMicroseconds() { return static_cast<uint32_t>(micros()); }

// Only so that the adaptor is there before the Device that gets its address.
struct ArduinoLine {
  explicit ArduinoLine(Stream& serial) : line(serial) {}
  StreamAdaptor<Stream> line;
};

class ArduinoDevice final : private ArduinoLine, public Device {
 public:
  // serial: the sketch calls its begin(). All have to stay.
  ArduinoDevice(Learner& learner, Storage& storage, Stream& serial)
      : ArduinoLine(serial),
        Device(&learner, &storage, &line, Clock{ArduinoMilliseconds, ArduinoMicroseconds},
               kBoard) {}
};

}  // namespace tfodl

#endif  // TFODL_ARDUINO_ARDUINO_DEVICE_H_
