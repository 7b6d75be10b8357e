// The part of the Arduino API that a board without pins and buses can have. No String.
#ifndef ARDUINO_H
#define ARDUINO_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HIGH 1
#define LOW 0
#define INPUT 0
#define OUTPUT 1
#define INPUT_PULLUP 2
#define DEC 10
#define HEX 16
#define OCT 8
#define BIN 2
#define PI 3.14159265358979323846
#define PROGMEM
#define F(text) (text)

typedef bool boolean;
typedef uint8_t byte;
typedef uint16_t word;

#ifdef __cplusplus
extern "C" {
#endif

unsigned long millis(void);
unsigned long micros(void);
void delay(unsigned long ms);
void delayMicroseconds(unsigned int us);
void yield(void);

// Pins that lead nowhere.
static inline void pinMode(int pin, int mode) { (void)pin, (void)mode; }
static inline void digitalWrite(int pin, int value) { (void)pin, (void)value; }
static inline int digitalRead(int pin) { return (void)pin, LOW; }
static inline int analogRead(int pin) { return (void)pin, 0; }

#ifdef __cplusplus
}

template <class A, class B>
inline auto min(A a, B b) -> decltype(a < b ? a : b) { return a < b ? a : b; }
template <class A, class B>
inline auto max(A a, B b) -> decltype(a < b ? b : a) { return a < b ? b : a; }
template <class T, class L, class H>
inline T constrain(T value, L low, H high) {
  return value < low ? low : value > high ? high : value;
}
inline long map(long x, long in_low, long in_high, long out_low, long out_high) {
  return (x - in_low) * (out_high - out_low) / (in_high - in_low) + out_low;
}
inline long random(long high) { return high > 0 ? rand() % high : 0; }
inline long random(long low, long high) { return low < high ? low + random(high - low) : low; }
inline void randomSeed(unsigned long seed) { srand(static_cast<unsigned>(seed)); }

void setup();
void loop();

#include "HardwareSerial.h"
#endif

#include "pins_arduino.h"

#endif
