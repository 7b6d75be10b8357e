#include "tfodl/crc.h"

namespace tfodl {
namespace {

// The remainders of four bits: as fast as needed with 96 bytes of flash in place of 1.5 KB.
constexpr uint16_t kNibbles16[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50A5,
                                     0x60C6, 0x70E7, 0x8108, 0x9129, 0xA14A, 0xB16B,
                                     0xC18C, 0xD1AD, 0xE1CE, 0xF1EF};
constexpr uint32_t kNibbles32[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC,
                                     0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
                                     0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                     0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};

}  // namespace

uint16_t Crc16(const void* data, uint32_t bytes, uint16_t crc) {
  const uint8_t* byte = static_cast<const uint8_t*>(data);
  uint32_t value = crc;
  for (uint32_t i = 0; i < bytes; ++i) {
    value = ((value << 4) ^ kNibbles16[((value >> 12) ^ (byte[i] >> 4)) & 15]) & 0xFFFF;
    value = ((value << 4) ^ kNibbles16[((value >> 12) ^ byte[i]) & 15]) & 0xFFFF;
  }
  return static_cast<uint16_t>(value);
}

uint32_t Crc32(const void* data, uint32_t bytes, uint32_t crc) {
  const uint8_t* byte = static_cast<const uint8_t*>(data);
  uint32_t value = ~crc;
  for (uint32_t i = 0; i < bytes; ++i) {
    value ^= byte[i];
    value = (value >> 4) ^ kNibbles32[value & 15];
    value = (value >> 4) ^ kNibbles32[value & 15];
  }
  return ~value;
}

}  // namespace tfodl
