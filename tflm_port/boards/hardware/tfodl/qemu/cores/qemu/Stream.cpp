#include "Arduino.h"

size_t Stream::readBytes(char* data, size_t bytes) {
  size_t count = 0;
  for (unsigned long start = millis(); count < bytes && millis() - start < timeout_ms_;) {
    const int byte = read();
    if (byte < 0) {
      yield();
      continue;
    }
    data[count++] = static_cast<char>(byte);
    start = millis();
  }
  return count;
}
