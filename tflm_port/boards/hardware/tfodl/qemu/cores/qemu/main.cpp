#include "Arduino.h"

int main() {
  setup();
  for (;;) {
    loop();
    // A byte that comes in between is picked up a millisecond later at most.
    if (Serial.available() == 0) yield();
  }
}

// libsupc++'s would bring in the demangler.
extern "C" void __cxa_pure_virtual() { abort(); }
