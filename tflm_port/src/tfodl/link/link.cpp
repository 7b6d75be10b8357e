#include "tfodl/link/link.h"

#include <string.h>

#include "tfodl/crc.h"
#include "tfodl/float_math.h"
#include "tfodl/storage/state_image.h"
#include "tfodl/version.h"
#include "tfodl/float_contract.h"

namespace tfodl {
namespace {

enum Request : uint8_t {
  kHello = 0x01,
  kSample = 0x02,
  kPredict = 0x03,
  kLearn = 0x04,
  kStats = 0x05,
  kRead = 0x06,
  kWrite = 0x07,
  kSave = 0x08,
  kLoad = 0x09,
  kReset = 0x0A,
  kSet = 0x0B,
  kEvent = 0x40,
  kAnswer = 0x80,  // added to the type of the request
  kError = 0xFF,
};

enum Error : uint8_t {
  kNoError = 0,
  kUnknownRequest = 1,
  kMalformed = 2,
  kSampleIncomplete = 3,
  kLabelOutOfRange = 4,
  kStepFailed = 5,
  kNoStorage = 6,
  kNothingSaved = 7,
  kStorageFailed = 8,
  kOutOfOrder = 9,
  kImageDamaged = 10,
};

enum Setting : uint8_t { kLearningRate = 1, kSaveInterval = 2 };

// Enough for every message a sketch prints in between, and little enough not to hold it up.
constexpr uint32_t kMostBytesPerPoll = 4 * kMaxEncoded;
constexpr uint32_t kMostText = 15;

const char* MessageOf(Error error) {
  switch (error) {
    case kNoError:
      break;
    case kUnknownRequest:
      return "unknown request";
    case kMalformed:
      return "malformed payload";
    case kSampleIncomplete:
      return "sample incomplete or different";
    case kLabelOutOfRange:
      return "label out of range";
    case kStepFailed:
      return "the step failed";
    case kNoStorage:
      return "no storage";
    case kNothingSaved:
      return "nothing saved for this model";
    case kStorageFailed:
      return "storage failed";
    case kOutOfOrder:
      return "offset out of order or range";
    case kImageDamaged:
      return "image damaged or of another model";
  }
  return "";
}

Error ErrorOf(Kept result) {
  switch (result) {
    case Kept::kOk:
      return kNoError;
    case Kept::kNoStorage:
      return kNoStorage;
    case Kept::kNothingSaved:
      return kNothingSaved;
    case Kept::kFailed:
      return kStorageFailed;
    case Kept::kOutOfOrder:
      return kOutOfOrder;
    case Kept::kDamaged:
      return kImageDamaged;
  }
  return kStorageFailed;
}

// At least a second, at most three weeks; 0 stays 0.
uint32_t MillisecondsOf(float seconds) {
  constexpr float kMost = 2.0e6f;
  if (seconds == 0.0f) return 0;
  const float bounded = seconds < 1.0f ? 1.0f : seconds > kMost ? kMost : seconds;
  return static_cast<uint32_t>(bounded * 1000.0f);
}

void PutStep(const Step& step, uint32_t microseconds, ByteWriter* to) {
  to->I32(step.prediction);
  to->F32(step.probability);
  to->F32(step.loss);
  to->F32(step.decision);
  to->U8(step.trained ? 1 : 0);
  to->U8(0);
  to->U16(0);
  to->U32(microseconds);
}

}  // namespace

// The payload of an answer, or why there is none.
struct Link::Reply {
  uint8_t payload[kMaxPayload];
  ByteWriter to{payload};
  Error error = kNoError;
};

void Link::Poll() {
  if (!Flush()) return;
  for (uint32_t i = 0; i < kMostBytesPerPoll; ++i) {
    uint8_t byte;
    Frame request;
    if (stream_.Read(&byte, 1) != 1) return;
    if (!reader_.Take(byte, &request)) continue;
    Execute(request);
    Flush();
    return;
  }
}

// True when nothing is left to send.
bool Link::Flush() {
  while (unsent_ > 0) {
    const uint32_t taken = stream_.Write(sending_, unsent_);
    if (taken == 0) return false;
    sending_ += taken;
    unsent_ -= taken;
  }
  return true;
}

void Link::Send(const uint8_t* encoded, uint32_t bytes) {
  sending_ = encoded;
  unsent_ = bytes;
}

void Link::Execute(const Frame& request) {
  const bool is_repeated = answer_bytes_ > 0 && request.type != kHello &&
                           request.type == answered_type_ &&
                           request.sequence == answered_sequence_;
  if (!is_repeated) {
    Reply reply;
    Dispatch(request, &reply);
    uint8_t type = static_cast<uint8_t>(request.type | kAnswer);
    if (reply.error != kNoError) {
      type = kError;
      reply.to = ByteWriter(reply.payload);
      reply.to.U8(reply.error);
      const char* message = MessageOf(reply.error);
      while (*message != '\0') reply.to.U8(static_cast<uint8_t>(*message++));
    }
    const Frame answer = {type, request.sequence, reply.payload, reply.to.size()};
    answer_bytes_ = EncodeFrame(answer, answer_);
    answered_type_ = request.type;
    answered_sequence_ = request.sequence;
  }
  Send(answer_, answer_bytes_);
}

void Link::TellOfStep(const Step& step, uint32_t microseconds) {
  received_ = SampleProgress{0, 0};  // it was overwritten
  if (!has_client_ || !step.ok) return;
  const uint16_t sequence = events_++;
  if (!Flush()) return;  // the client sees the gap
  uint8_t payload[24];
  ByteWriter to(payload);
  PutStep(step, microseconds, &to);
  Send(event_, EncodeFrame(Frame{kEvent, sequence, payload, to.size()}, event_));
  Flush();
}

void Link::Dispatch(const Frame& request, Reply* reply) {
  struct Length {
    uint8_t type;
    uint8_t least, most;
  };
  constexpr uint8_t kAny = kMaxPayload;
  static const Length kLengths[] = {
      {kHello, 0, 0}, {kSample, 5, kAny}, {kPredict, 8, 8}, {kLearn, 12, 12},
      {kStats, 0, 0}, {kRead, 6, 6},      {kWrite, 4, kAny}, {kSave, 0, 0},
      {kLoad, 0, 0},  {kReset, 1, 1},     {kSet, 5, 5},
  };
  reply->error = kUnknownRequest;
  for (const Length& length : kLengths) {
    if (length.type != request.type) continue;
    const bool fits =
        request.payload_bytes >= length.least && request.payload_bytes <= length.most;
    reply->error = fits ? kNoError : kMalformed;
  }
  if (reply->error != kNoError) return;
  switch (request.type) {
    case kHello:
      return Hello(reply);
    case kSample:
      return Sample(request, reply);
    case kPredict:
    case kLearn:
      return RunStep(request, reply);
    case kStats:
      return Stats(reply);
    case kRead:
      return Read(request, reply);
    case kWrite:
      return Write(request, reply);
    case kSave:
      return Save(reply);
    case kLoad:
      return Load(reply);
    case kReset:
      return Reset(request, reply);
    case kSet:
      return Set(request, reply);
  }
}

void Link::Hello(Reply* reply) {
  has_client_ = true;
  const ModelInfo& model = learner_.model();
  ByteWriter& to = reply->to;
  to.U8(kProtocolVersion);
  to.U8((keeper_.has_storage() ? 1 : 0) | (keeper_.was_loaded() ? 2 : 0));
  to.U16(kMaxPayload);
  to.U32(model.id);
  to.U32(model.input_bytes);
  to.U8(static_cast<uint8_t>(model.input_type));
  to.U8(0);
  to.U16(0);
  to.F32(model.input_scale);
  to.I32(model.input_zero_point);
  to.U32(model.classes);
  to.U32(model.target_bytes);
  to.U32(keeper_.image_bytes());
  to.Text(kFirmware, kMostText);
  to.Text(board_, kMostText);
}

void Link::Sample(const Frame& request, Reply* reply) {
  const ModelInfo& model = learner_.model();
  const uint8_t tensor = request.payload[0];
  const uint32_t offset = GetU32(request.payload + 1);
  const uint32_t bytes = request.payload_bytes - 5;
  if (tensor > 1) {
    reply->error = kMalformed;
    return;
  }
  const uint32_t size = tensor == 0 ? model.input_bytes : model.target_bytes;
  void* const data = tensor == 0 ? model.input : model.target;
  uint32_t& received = tensor == 0 ? received_.input : received_.target;
  if ((offset != 0 && offset != received) || offset > size || bytes > size - offset) {
    reply->error = kOutOfOrder;
    return;
  }
  if (bytes > 0) memcpy(static_cast<uint8_t*>(data) + offset, request.payload + 5, bytes);
  received = offset + bytes;
}

bool Link::SampleIs(uint32_t length, uint32_t crc, bool with_target) const {
  const ModelInfo& model = learner_.model();
  const uint32_t target_bytes = with_target ? model.target_bytes : 0;
  if (received_.input != model.input_bytes || received_.target < target_bytes ||
      length != model.input_bytes + target_bytes) {
    return false;
  }
  return Crc32(model.target, target_bytes, Crc32(model.input, model.input_bytes)) == crc;
}

void Link::RunStep(const Frame& request, Reply* reply) {
  const bool learns = request.type == kLearn;
  const uint8_t* check = request.payload + (learns ? 4 : 0);
  const bool is_meant = SampleIs(GetU32(check), GetU32(check + 4), learns);
  received_ = SampleProgress{0, 0};
  if (!is_meant) {
    reply->error = kSampleIncomplete;
    return;
  }
  const int32_t label = learns ? static_cast<int32_t>(GetU32(request.payload)) : 0;
  if (learns && !learner_.AcceptsLabel(label)) {
    reply->error = kLabelOutOfRange;
    return;
  }
  const uint32_t start = clock_.microseconds();
  const Step step = learns ? learner_.Learn(label) : learner_.Predict();
  const uint32_t spent = clock_.microseconds() - start;
  if (!step.ok) {
    reply->error = kStepFailed;
    return;
  }
  if (learns) keeper_.CountStep(step);
  PutStep(step, spent, &reply->to);
}

void Link::Stats(Reply* reply) {
  const State& state = *learner_.session().state;
  const Counts& counts = CurrentCounts();
  ByteWriter& to = reply->to;
  to.U32(state.samples);
  to.U32(state.trained);
  to.U32(state.skipped);
  to.U32(state.non_finite);
  to.U32(state.saturated);
  to.U64(state.backward_macs);
  to.U64(state.backward_macs_nonzero);
  to.F32(state.learning_rate);
  to.U32(keeper_.saves());
  to.U32(keeper_.failed_saves());
  to.U32(keeper_.sequence());
  to.U32(reader_.bad_frames());
  to.U32(learner_.model().arena_bytes);
  to.U32(clock_.milliseconds());
  to.U32(counts.clipped);
  to.U32(counts.seedings);
}

void Link::Read(const Frame& request, Reply* reply) {
  const uint32_t offset = GetU32(request.payload);
  const uint32_t count = GetU16(request.payload + 4);
  const uint32_t size = keeper_.image_bytes();
  if (count > kMaxPayload - 4 || offset > size || count > size - offset) {
    reply->error = kOutOfOrder;
    return;
  }
  reply->to.U32(learner_.session().state->samples);
  keeper_.ReadImage(offset, reply->payload + 4, count);
  reply->to.Skip(count);
}

void Link::Write(const Frame& request, Reply* reply) {
  reply->error = ErrorOf(keeper_.Write(GetU32(request.payload), request.payload + 4,
                                       request.payload_bytes - 4));
}

void Link::Save(Reply* reply) {
  reply->error = ErrorOf(keeper_.Save());
  reply->to.U32(keeper_.sequence());
}

void Link::Load(Reply* reply) {
  reply->error = ErrorOf(keeper_.Load());
  reply->to.U32(keeper_.sequence());
}

void Link::Reset(const Frame& request, Reply* reply) {
  if (request.payload[0] > 1) {
    reply->error = kMalformed;
    return;
  }
  if (request.payload[0] == 1) reply->error = ErrorOf(keeper_.Erase());
  if (reply->error == kNoError && !learner_.Reset()) reply->error = kStepFailed;
}

void Link::Set(const Frame& request, Reply* reply) {
  const float value = GetF32(request.payload + 1);
  const bool is_valid = IsFinite(value) && value >= 0.0f;
  if (is_valid && request.payload[0] == kLearningRate) {
    learner_.session().state->learning_rate = value;
  } else if (is_valid && request.payload[0] == kSaveInterval) {
    keeper_.SaveEvery(MillisecondsOf(value));
  } else {
    reply->error = kMalformed;
  }
}

}  // namespace tfodl
