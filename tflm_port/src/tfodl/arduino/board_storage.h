// BoardStorage: the memory of this board that survives a power cut.
#ifndef TFODL_ARDUINO_BOARD_STORAGE_H_
#define TFODL_ARDUINO_BOARD_STORAGE_H_

#if defined(ARDUINO_ARDUINO_NANO33BLE)
#include "tfodl/arduino/nano33_storage.h"
#elif defined(ARDUINO_ARCH_ESP32)
#include "tfodl/arduino/esp32_storage.h"
#elif defined(ARDUINO_QEMU_MPS2)
#include "tfodl/arduino/qemu_storage.h"
#else
#include "tfodl/storage/no_storage.h"
#endif

namespace tfodl {

#if defined(ARDUINO_ARDUINO_NANO33BLE)
using BoardStorage = Nano33Storage;
#elif defined(ARDUINO_ARCH_ESP32)
using BoardStorage = Esp32Storage;
#elif defined(ARDUINO_QEMU_MPS2)
using BoardStorage = QemuStorage;
#else
using BoardStorage = NoStorage;
#endif

}  // namespace tfodl

#endif  // TFODL_ARDUINO_BOARD_STORAGE_H_
