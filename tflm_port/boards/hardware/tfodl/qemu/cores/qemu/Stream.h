#ifndef STREAM_H
#define STREAM_H

#include "Print.h"

class Stream : public Print {
 public:
  virtual int available() = 0;
  virtual int read() = 0;
  virtual int peek() = 0;

  // Waits for each byte as long as setTimeout() says.
  size_t readBytes(char* data, size_t bytes);
  size_t readBytes(uint8_t* data, size_t bytes) {
    return readBytes(reinterpret_cast<char*>(data), bytes);
  }
  void setTimeout(unsigned long ms) { timeout_ms_ = ms; }

 protected:
  ~Stream() = default;

 private:
  unsigned long timeout_ms_ = 1000;
};

#endif
