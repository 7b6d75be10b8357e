// UART 0 of the board, which QEMU connects to its first -serial.
#ifndef HARDWARE_SERIAL_H
#define HARDWARE_SERIAL_H

#include "Stream.h"

class HardwareSerial final : public Stream {
 public:
  void begin(unsigned long baud);  // any: there is no line that could be too slow
  void end() {}
  int available() override;
  int read() override;
  int peek() override;
  size_t write(uint8_t byte) override;
  using Print::write;
  int availableForWrite() override;
  explicit operator bool() const { return true; }
};

extern HardwareSerial Serial;

#endif
