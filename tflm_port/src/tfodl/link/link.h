// Answers the requests of docs/protocol.md on a serial line, without ever waiting for it.
#ifndef TFODL_LINK_LINK_H_
#define TFODL_LINK_LINK_H_

#include <stdint.h>

#include "tfodl/bytes.h"
#include "tfodl/learner.h"
#include "tfodl/link/byte_stream.h"
#include "tfodl/link/frame.h"
#include "tfodl/storage/keeper.h"

namespace tfodl {

// Of the start of the board; both wrap around.
struct Clock {
  uint32_t (*milliseconds)();
  uint32_t (*microseconds)();
};

class Link {
 public:
  // All have to stay. board: "nano33", "esp32", "qemu", at most 15 characters.
  Link(Learner* learner, Keeper* keeper, ByteStream* stream, const Clock& clock, const char* board)
      : learner_(*learner), keeper_(*keeper), stream_(*stream), clock_(clock), board_(board) {}

  // Reads what has arrived, executes at most one request, and sends what there is room for.
  void Poll();

  // The sketch has taken a step by itself: tells the client, if one has said HELLO.
  void TellOfStep(const Step& step, uint32_t microseconds);

 private:
  struct Reply;
  struct SampleProgress {
    uint32_t input;   // bytes received
    uint32_t target;
  };

  bool Flush();
  void Execute(const Frame& request);
  void Send(const uint8_t* encoded, uint32_t bytes);

  void Dispatch(const Frame& request, Reply* reply);
  void Hello(Reply* reply);
  void Sample(const Frame& request, Reply* reply);
  void RunStep(const Frame& request, Reply* reply);
  void Stats(Reply* reply);
  void Read(const Frame& request, Reply* reply);
  void Write(const Frame& request, Reply* reply);
  void Save(Reply* reply);
  void Load(Reply* reply);
  void Reset(const Frame& request, Reply* reply);
  void Set(const Frame& request, Reply* reply);
  bool SampleIs(uint32_t length, uint32_t crc, bool with_target) const;

  Learner& learner_;
  Keeper& keeper_;
  ByteStream& stream_;
  const Clock clock_;
  const char* const board_;

  FrameReader reader_;
  SampleProgress received_ = {0, 0};
  bool has_client_ = false;
  uint16_t events_ = 0;

  // The last answer, and to what it was one.
  uint8_t answer_[kMaxEncoded] = {};
  uint32_t answer_bytes_ = 0;
  uint8_t answered_type_ = 0;
  uint16_t answered_sequence_ = 0;

  // What is on its way out.
  const uint8_t* sending_ = nullptr;
  uint32_t unsent_ = 0;

  uint8_t event_[kMaxEncoded] = {};
};

}  // namespace tfodl

#endif  // TFODL_LINK_LINK_H_
