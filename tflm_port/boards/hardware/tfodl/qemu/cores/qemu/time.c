// CMSDK APB timer 0 counts down at 25 MHz; SysTick only wakes the processor.
#include "Arduino.h"

struct Timer {
  volatile uint32_t control, value, reload, interrupt;
};

struct SysTick {
  volatile uint32_t control, reload, value;
};

static struct Timer* const kTimer = (struct Timer*)0x40000000;
static struct SysTick* const kSysTick = (struct SysTick*)0xE000E010;

enum { kTicksPerMicrosecond = 25, kTicksPerMillisecond = 25000 };

// Has to be called once in 171 seconds, in which the timer wraps around; main() does.
static uint64_t Ticks(void) {
  static uint64_t ticks;
  static uint32_t last;
  if ((kTimer->control & 1) == 0) {
    kTimer->value = kTimer->reload = last = 0xffffffff;
    kTimer->control = 1;
  }
  const uint32_t now = kTimer->value;
  ticks += (uint32_t)(last - now);
  last = now;
  return ticks;
}

unsigned long micros(void) { return (unsigned long)(Ticks() / kTicksPerMicrosecond); }

unsigned long millis(void) { return (unsigned long)(Ticks() / kTicksPerMillisecond); }

void SysTickElapsed(void) { kSysTick->control = 0; }

// Sleeps until a byte arrives, but at most a millisecond.
void yield(void) {
  millis();
  kSysTick->reload = kTicksPerMillisecond;
  kSysTick->value = 0;
  kSysTick->control = 7;
  __asm volatile("wfi");
  kSysTick->control = 0;
}

void delay(unsigned long ms) {
  const unsigned long start = millis();
  while (millis() - start < ms) yield();
}

void delayMicroseconds(unsigned int us) {
  const unsigned long start = micros();
  while (micros() - start < us) {
  }
}
