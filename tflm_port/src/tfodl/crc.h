// The two checksums of docs/protocol.md.
#ifndef TFODL_CRC_H_
#define TFODL_CRC_H_

#include <stdint.h>

namespace tfodl {

constexpr uint16_t kCrc16Start = 0xFFFF;

// CRC-16/CCITT-FALSE: polynomial 0x1021, not reflected. Pieces: hand on the last result.
uint16_t Crc16(const void* data, uint32_t bytes, uint16_t crc = kCrc16Start);

// CRC-32 as in Ethernet and zlib: reversed polynomial 0xEDB88320. Pieces: hand on the last result.
uint32_t Crc32(const void* data, uint32_t bytes, uint32_t crc = 0);

}  // namespace tfodl

#endif  // TFODL_CRC_H_
