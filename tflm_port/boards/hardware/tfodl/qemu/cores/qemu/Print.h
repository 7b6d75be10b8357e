#ifndef PRINT_H
#define PRINT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

class Print {
 public:
  virtual size_t write(uint8_t byte) = 0;
  virtual size_t write(const uint8_t* data, size_t bytes);
  size_t write(const char* text) { return write(text, strlen(text)); }
  size_t write(const char* text, size_t bytes) {
    return write(reinterpret_cast<const uint8_t*>(text), bytes);
  }
  virtual int availableForWrite() { return 0; }
  virtual void flush() {}

  size_t print(const char* text) { return write(text); }
  size_t print(char character) { return write(static_cast<uint8_t>(character)); }
  size_t print(unsigned char value, int base = 10) { return printUnsigned(value, base); }
  size_t print(int value, int base = 10) { return printSigned(value, base); }
  size_t print(unsigned int value, int base = 10) { return printUnsigned(value, base); }
  size_t print(long value, int base = 10) { return printSigned(value, base); }
  size_t print(unsigned long value, int base = 10) { return printUnsigned(value, base); }
  size_t print(double value, int digits = 2);

  size_t println() { return write("\r\n"); }
  template <class T>
  size_t println(T value) {
    const size_t written = print(value);
    return written + println();
  }
  template <class T>
  size_t println(T value, int format) {
    const size_t written = print(value, format);
    return written + println();
  }

 protected:
  ~Print() = default;

 private:
  size_t printSigned(long value, int base);
  size_t printUnsigned(unsigned long value, int base);
};

#endif
