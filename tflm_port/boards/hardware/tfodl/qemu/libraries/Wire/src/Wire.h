// QEMU's board has no I2C bus: libraries include this header whether they use it or not.
#ifndef WIRE_H
#define WIRE_H

#include <Arduino.h>

#endif
