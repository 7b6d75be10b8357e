// Vectors, memory, the FPU, and the few functions newlib asks for.
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

extern uint32_t stack_top, text_end, data_start, data_end, bss_start, bss_end;
extern char end, heap_end;

int main(void);
void __libc_init_array(void);
void UartReceived(void);
void SysTickElapsed(void);

void* __dso_handle = NULL;

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
  __libc_init_array();
  main();
  for (;;) {
  }
}

static void PutText(const char* text, size_t length) {
  volatile uint32_t* const uart = (uint32_t*)0x40004000;
  uart[4] = 16;
  uart[2] |= 1;
  while (length-- > 0) {
    while ((uart[1] & 1) != 0) {
    }
    uart[0] = (uint8_t)*text++;
  }
}

// Says so and stands still, as a board does.
__attribute__((used, noreturn)) void Fault(void) {
  static const char kText[] = "\r\nfault: the sketch has crashed\r\n";
  PutText(kText, sizeof kText - 1);
  for (;;) __asm volatile("wfi");
}

__attribute__((section(".vectors"), used)) const void* const kVectors[17] = {
    &stack_top, Reset, Fault, Fault, Fault, Fault, Fault,          0,
    0,          0,     0,     Fault, Fault, 0,     Fault, SysTickElapsed,
    UartReceived,
};

void* _sbrk(ptrdiff_t bytes) {
  static char* top = &end;
  if (bytes > &heap_end - top) {
    errno = ENOMEM;
    return (void*)-1;
  }
  char* const start = top;
  top += bytes;
  return start;
}

int _write(int file, const char* data, int bytes) {
  (void)file;
  PutText(data, (size_t)bytes);
  return bytes;
}

__attribute__((noreturn)) void _exit(int code) {
  (void)code;
  Fault();
}

int _getpid(void) { return 1; }

int _kill(int process, int signal) {
  (void)process, (void)signal;
  return -1;
}

int _read(int file, char* data, int bytes) {
  (void)file, (void)data, (void)bytes;
  return 0;
}

int _close(int file) { return (void)file, -1; }

int _isatty(int file) { return (void)file, 1; }

int _lseek(int file, int offset, int origin) {
  (void)file, (void)offset, (void)origin;
  return 0;
}

int _fstat(int file, struct stat* status) {
  (void)file;
  status->st_mode = S_IFCHR;
  return 0;
}
