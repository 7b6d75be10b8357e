#include "tfodl/link/frame.h"

#include <string.h>

#include "tfodl/bytes.h"
#include "tfodl/crc.h"

namespace tfodl {

uint32_t EncodeFrame(const Frame& frame, uint8_t encoded[kMaxEncoded]) {
  uint8_t plain[kMaxFrame];
  plain[0] = kProtocolVersion;
  plain[1] = frame.type;
  PutU16(plain + 2, frame.sequence);
  if (frame.payload_bytes > 0) {
    memcpy(plain + kFrameHeaderBytes, frame.payload, frame.payload_bytes);
  }
  const uint32_t checked = kFrameHeaderBytes + frame.payload_bytes;
  PutU16(plain + checked, Crc16(plain, checked));
  encoded[0] = 0;  // ends whatever the sketch has printed
  const uint32_t end = 1 + CobsEncode(plain, checked + 2, encoded + 1);
  encoded[end] = 0;
  return end + 1;
}

bool FrameReader::Take(uint8_t byte, Frame* frame) {
  if (byte != 0) {
    if (length_ < sizeof data_) data_[length_] = byte;
    if (length_ <= sizeof data_) ++length_;
    return false;
  }
  if (length_ == 0) return false;  // zeros between frames
  const bool is_frame = length_ < sizeof data_ && Decode(frame);
  if (!is_frame) ++bad_frames_;
  length_ = 0;
  return is_frame;
}

bool FrameReader::Decode(Frame* frame) {
  const uint32_t length = CobsDecode(data_, length_);
  if (length < kFrameOverhead || length > kMaxFrame || data_[0] != kProtocolVersion) return false;
  const uint32_t checked = length - 2;
  if (GetU16(data_ + checked) != Crc16(data_, checked)) return false;
  *frame = Frame{data_[1], GetU16(data_ + 2), data_ + kFrameHeaderBytes,
                 checked - kFrameHeaderBytes};
  return true;
}

}  // namespace tfodl
