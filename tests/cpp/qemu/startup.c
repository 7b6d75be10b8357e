// The least that a program needs on QEMU's mps2-an386 (Cortex-M4F): vectors, the FPU, memory, main.
// Semihosting (rdimon) carries standard output and the exit code.
#include <stdint.h>
#include <stdlib.h>

extern uint32_t stack_top, text_end, data_start, data_end, bss_start, bss_end;

int main(void);
void __libc_init_array(void);
void initialise_monitor_handles(void);

void _init(void) {}
void _fini(void) {}

// Full access to the FPU before any compiled code runs: CPACR, coprocessors 10 and 11.
__attribute__((naked, noreturn)) void Reset(void) {
  __asm volatile(
      "ldr r0, =0xE000ED88\n"
      "ldr r1, [r0]\n"
      "orr r1, r1, #(0xF << 20)\n"
      "str r1, [r0]\n"
      "dsb\n"
      "isb\n"
      "b Start\n");
}

__attribute__((used, noreturn)) void Start(void) {
  const uint32_t* source = &text_end;
  for (uint32_t* target = &data_start; target < &data_end;) *target++ = *source++;
  for (uint32_t* target = &bss_start; target < &bss_end;) *target++ = 0;
  initialise_monitor_handles();
  __libc_init_array();
  exit(main());
}

// Every fault ends the program: SYS_EXIT with ADP_Stopped_InternalError.
__attribute__((used)) void Fault(void) {
  __asm volatile(
      "movs r0, #0x18\n"
      "ldr r1, =0x20024\n"
      "bkpt 0xab\n");
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) const void* const kVectors[16] = {
    &stack_top, Reset, Fault, Fault, Fault, Fault, Fault, 0,
    0,          0,     0,     Fault, Fault, 0,     Fault, Fault,
};
