#include "Print.h"

size_t Print::write(const uint8_t* data, size_t bytes) {
  size_t written = 0;
  while (written < bytes && write(data[written]) == 1) ++written;
  return written;
}

size_t Print::printSigned(long value, int base) {
  if (value >= 0 || base != 10) return printUnsigned(static_cast<unsigned long>(value), base);
  const size_t written = print('-');
  return written + printUnsigned(0ul - static_cast<unsigned long>(value), base);
}

size_t Print::printUnsigned(unsigned long value, int base) {
  char digits[8 * sizeof value];
  size_t first = sizeof digits;
  const unsigned long divisor = base < 2 ? 10 : static_cast<unsigned long>(base);
  do {
    const unsigned long digit = value % divisor;
    digits[--first] = static_cast<char>(digit < 10 ? '0' + digit : 'A' + digit - 10);
    value /= divisor;
  } while (value != 0);
  return write(digits + first, sizeof digits - first);
}

size_t Print::print(double value, int digits) {
  if (value != value) return print("nan");
  if (value > 4294967040.0 || value < -4294967040.0) return print("ovf");
  size_t written = 0;
  if (value < 0.0) {
    written += print('-');
    value = -value;
  }
  double half = 0.5;
  for (int i = 0; i < digits; ++i) half /= 10.0;
  value += half;
  unsigned long whole = static_cast<unsigned long>(value);
  written += printUnsigned(whole, 10);
  if (digits > 0) written += print('.');
  double rest = value - static_cast<double>(whole);
  for (int i = 0; i < digits; ++i) {
    rest *= 10.0;
    const int digit = static_cast<int>(rest);
    written += print(static_cast<char>('0' + digit));
    rest -= digit;
  }
  return written;
}
