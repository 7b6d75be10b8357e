// What the Arduino core supplies to TensorFlow Lite Micro on a board. For one file of a program.
#ifndef TFODL_BENCHMARKS_ARDUINO_CORE_H_
#define TFODL_BENCHMARKS_ARDUINO_CORE_H_

#include <stdint.h>
#include <stdio.h>

extern "C" void DebugLog(const char* text) { fputs(text, stderr); }

namespace tflite {
void InitializeTarget() {}
uint32_t ticks_per_second() { return 0; }
uint32_t GetCurrentTimeTicks() { return 0; }
}  // namespace tflite

#endif  // TFODL_BENCHMARKS_ARDUINO_CORE_H_
