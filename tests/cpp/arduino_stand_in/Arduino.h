// Stand-in for an Arduino core's header, with the macros that break other people's code.
#ifndef TFODL_TESTS_ARDUINO_H_
#define TFODL_TESTS_ARDUINO_H_

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define abs(x) ((x) > 0 ? (x) : -(x))
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define F(text) (text)
#define HIGH 1
#define LOW 0
#define OUTPUT 1
#define LED_BUILTIN 13

unsigned long millis();
unsigned long micros();
void delay(unsigned long ms);
void pinMode(int pin, int mode);
void digitalWrite(int pin, int value);

class Stream {
 public:
  virtual int available() = 0;
  virtual int read() = 0;
  virtual size_t write(const uint8_t* data, size_t bytes) = 0;
  virtual int availableForWrite() { return 0; }
  void begin(unsigned long) {}

 protected:
  ~Stream() = default;
};

extern Stream& Serial;

#endif  // TFODL_TESTS_ARDUINO_H_
