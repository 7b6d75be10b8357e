// Frames of docs/protocol.md, and a reader that finds them in a stream of anything.
#ifndef TFODL_LINK_FRAME_H_
#define TFODL_LINK_FRAME_H_

#include <stdint.h>

#include "tfodl/link/cobs.h"

namespace tfodl {

constexpr uint32_t kProtocolVersion = 1;
constexpr uint32_t kFrameHeaderBytes = 4;
constexpr uint32_t kFrameOverhead = kFrameHeaderBytes + 2;

// An encoded frame is then shorter than the 256 bytes that serial ports keep for a busy sketch.
constexpr uint32_t kMaxPayload = 240;
constexpr uint32_t kMaxFrame = kFrameOverhead + kMaxPayload;
constexpr uint32_t kMaxEncoded = CobsRoom(kMaxFrame) + 2;

struct Frame {
  uint8_t type;
  uint16_t sequence;
  const uint8_t* payload;
  uint32_t payload_bytes;
};

// Encodes a frame with the zeros around it; returns the length. payload_bytes <= kMaxPayload.
uint32_t EncodeFrame(const Frame& frame, uint8_t encoded[kMaxEncoded]);

class FrameReader {
 public:
  // Takes one byte of the stream. True: `frame` is one that arrived whole; its payload is valid
  // until the next call.
  bool Take(uint8_t byte, Frame* frame);

  // Frames that were damaged, too short or too long.
  uint32_t bad_frames() const { return bad_frames_; }

 private:
  bool Decode(Frame* frame);

  uint8_t data_[kMaxEncoded] = {};
  uint32_t length_ = 0;  // above sizeof data_: too long, and not kept
  uint32_t bad_frames_ = 0;
};

}  // namespace tfodl

#endif  // TFODL_LINK_FRAME_H_
