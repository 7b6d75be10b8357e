#include "Arduino.h"

// CMSDK APB UART.
struct Uart {
  volatile uint32_t data, state, control, interrupt, divider;
};

static Uart* const kUart = reinterpret_cast<Uart*>(0x40004000);
static volatile uint32_t* const kEnableInterrupts = reinterpret_cast<uint32_t*>(0xE000E100);

enum : uint32_t {
  kSendFull = 1,
  kReceiveFull = 2,
  kEnableSend = 1,
  kEnableReceive = 2,
  kReceiveInterrupt = 8,
  kReceived = 2,
  kLeastDivider = 16,
};

// Filled by the interrupt. QEMU waits while the UART's one byte is not taken, so nothing is lost.
static volatile uint8_t g_bytes[256];
static volatile uint8_t g_first, g_end;

static bool IsFull() { return static_cast<uint8_t>(g_end + 1) == g_first; }

static void EnableReceiveInterrupt(bool enabled) {
  kUart->control = kEnableSend | kEnableReceive | (enabled ? uint32_t{kReceiveInterrupt} : 0u);
}

static void TakeByte() {
  while ((kUart->state & kReceiveFull) != 0 && !IsFull()) {
    g_bytes[g_end] = static_cast<uint8_t>(kUart->data);
    g_end = static_cast<uint8_t>(g_end + 1);
  }
}

extern "C" void UartReceived(void) {
  kUart->interrupt = kReceived;
  TakeByte();
  if (IsFull()) EnableReceiveInterrupt(false);  // until read() has made room
}

HardwareSerial Serial;

void HardwareSerial::begin(unsigned long) {
  kUart->divider = kLeastDivider;
  EnableReceiveInterrupt(true);
  *kEnableInterrupts = 1u << 0;
}

int HardwareSerial::available() { return static_cast<uint8_t>(g_end - g_first); }

int HardwareSerial::peek() { return available() > 0 ? g_bytes[g_first] : -1; }

int HardwareSerial::read() {
  const int byte = peek();
  if (byte < 0) return byte;
  const bool was_full = IsFull();
  g_first = static_cast<uint8_t>(g_first + 1);
  if (was_full) {
    TakeByte();  // with the interrupt off nothing else touches the buffer
    EnableReceiveInterrupt(true);
  }
  return byte;
}

int HardwareSerial::availableForWrite() { return (kUart->state & kSendFull) == 0 ? 1 : 0; }

size_t HardwareSerial::write(uint8_t byte) {
  while ((kUart->state & kSendFull) != 0) {
  }
  kUart->data = byte;
  return 1;
}
