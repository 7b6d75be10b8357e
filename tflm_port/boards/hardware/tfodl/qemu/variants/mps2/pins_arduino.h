#ifndef PINS_ARDUINO_H
#define PINS_ARDUINO_H

#define LED_BUILTIN 0

#endif
