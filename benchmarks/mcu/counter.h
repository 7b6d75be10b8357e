// Executed instructions, counted exactly: QEMU's -icount shift=10 lets every instruction take
// 1024 ns of virtual time, and timer 0 of the mps2-an386 counts down one tick every 40 ns. One span
// may take up to 167 million instructions.
#ifndef BENCH_COUNTER_H_
#define BENCH_COUNTER_H_

#include <stdint.h>

namespace bench {

class Counter {
 public:
  Counter() {
    Register(0x0) = 0;
    Register(0x8) = 0xffffffffu;
    Register(0x4) = 0xffffffffu;
    Register(0x0) = 1;
  }

  // Instructions since the object was made, without those of the measurement itself.
  uint32_t Read() const {
    const uint64_t ticks = 0xffffffffu - Register(0x4);
    const uint32_t spent = static_cast<uint32_t>(ticks * 40 / 1024);
    return spent > kOverhead ? spent - kOverhead : 0;
  }

 private:
  static constexpr uint32_t kOverhead = 2;
  static volatile uint32_t& Register(uint32_t offset) {
    return *reinterpret_cast<volatile uint32_t*>(0x40000000u + offset);
  }
};

}  // namespace bench

#endif  // BENCH_COUNTER_H_
