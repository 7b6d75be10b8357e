// Random and mutated frames at the link of a board.
//
//   fuzz_link SEED FRAMES
//
// A decoder of its own decides what is a frame. What is none must change nothing and get no answer;
// what is one gets exactly one answer, and an ERROR leaves what was learned and saved as it was.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>
#include <vector>

#include "ram_storage.h"
#include "require.h"
#include "tfodl/board/device.h"
#include "tfodl/linear_learner.h"
#include "tfodl/random.h"
#include "tfodl/storage/state_image.h"

namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint32_t kFeatures = 21;
constexpr uint32_t kClasses = 3;
constexpr uint32_t kImageBytes = 32 + 4 * tfodl::kStateWords + kClasses * (kFeatures + 4);

uint32_t g_random = 1;

uint32_t Random(uint32_t below) { return tfodl::NextRandom(&g_random) % below; }

class Pipe final : public tfodl::ByteStream {
 public:
  uint32_t Read(uint8_t* data, uint32_t bytes) override {
    uint32_t taken = 0;
    while (taken < bytes && first < in.size()) data[taken++] = in[first++];
    return taken;
  }

  // Takes as little as it likes, but never nothing for ever.
  uint32_t Write(const uint8_t* data, uint32_t bytes) override {
    const uint32_t taken = Random(4) == 0 ? 0 : 1 + Random(bytes);
    out.insert(out.end(), data, data + taken);
    return taken;
  }

  Bytes in;
  size_t first = 0;
  Bytes out;
};

// Bit by bit, unlike the library's.
uint32_t BitwiseCrc(const uint8_t* data, size_t bytes, bool is_32) {
  uint32_t crc = is_32 ? 0xffffffffu : 0xffffu;
  for (size_t i = 0; i < bytes; ++i) {
    crc ^= is_32 ? data[i] : static_cast<uint32_t>(data[i]) << 8;
    for (int bit = 0; bit < 8; ++bit) {
      if (is_32) {
        crc = (crc & 1) != 0 ? (crc >> 1) ^ 0xEDB88320u : crc >> 1;
      } else {
        crc = (crc & 0x8000) != 0 ? ((crc << 1) ^ 0x1021) & 0xffff : crc << 1;
      }
    }
  }
  return is_32 ? ~crc : crc;
}

uint32_t Crc32Of(const Bytes& data) { return BitwiseCrc(data.data(), data.size(), true); }

void Put(Bytes* to, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to->push_back(static_cast<uint8_t>(value >> (8 * i)));
}

uint32_t Get(const Bytes& from, size_t at, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= static_cast<uint32_t>(from[at + i]) << (8 * i);
  return value;
}

Bytes Stuff(const Bytes& plain) {
  Bytes out;
  for (size_t start = 0; start <= plain.size();) {
    size_t end = start;
    while (end < plain.size() && plain[end] != 0 && end - start < 254) ++end;
    out.push_back(static_cast<uint8_t>(end - start + 1));
    out.insert(out.end(), plain.begin() + start, plain.begin() + end);
    if (end - start == 254) {
      if (end == plain.size()) break;
      start = end;
    } else {
      start = end + 1;
    }
  }
  return out;
}

bool Unstuff(const Bytes& stuffed, Bytes* plain) {
  plain->clear();
  for (size_t at = 0; at < stuffed.size();) {
    const size_t code = stuffed[at];
    if (code == 0 || at + code > stuffed.size()) return false;
    for (size_t i = 1; i < code; ++i) plain->push_back(stuffed[at + i]);
    at += code;
    if (code != 255 && at < stuffed.size()) plain->push_back(0);
  }
  return true;
}

bool IsFrame(const Bytes& stuffed, Bytes* plain) {
  return Unstuff(stuffed, plain) && plain->size() >= 6 && plain->size() <= 6 + 240 &&
         (*plain)[0] == 1 &&
         BitwiseCrc(plain->data(), plain->size() - 2, false) == Get(*plain, plain->size() - 2, 2);
}

Bytes MakeFrame(uint8_t type, uint16_t sequence, const Bytes& payload) {
  Bytes plain = {1, type};
  Put(&plain, sequence, 2);
  plain.insert(plain.end(), payload.begin(), payload.end());
  Put(&plain, BitwiseCrc(plain.data(), plain.size(), false), 2);
  return Stuff(plain);
}

Bytes RandomBytes(uint32_t count, uint32_t least) {
  Bytes bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(least + Random(256 - least));
  return bytes;
}

uint32_t SomeNumber(uint32_t near) {
  const uint32_t choices[] = {0, 1, near, near - 1, near + 1, Random(near + 1), 0xffffffffu,
                              0x80000000u, Random(1000)};
  return choices[Random(9)];
}

// What a client that means it, or nearly, would send next.
struct Author {
  Bytes sample = Bytes(kFeatures);
  Bytes image;       // one that is good
  uint32_t sent = 0;  // of the image
  uint16_t sequence = 0;

  Bytes Next() {
    if (Random(20) != 0) ++sequence;
    const uint8_t type = static_cast<uint8_t>(Random(30) == 0 ? Random(256) : 1 + Random(11));
    Bytes payload;
    switch (type) {
      case 2: {
        const uint32_t offset = Random(3) == 0 ? SomeNumber(kFeatures) : 0;
        sample = RandomBytes(kFeatures, 0);
        Put(&payload, Random(12) == 0 ? Random(4) : 0, 1);
        Put(&payload, offset, 4);
        const uint32_t count = Random(4) == 0 ? Random(kFeatures + 4) : kFeatures;
        for (uint32_t i = 0; i < count; ++i) payload.push_back(sample[i % kFeatures]);
        break;
      }
      case 3:
      case 4:
        if (type == 4) Put(&payload, Random(6) == 0 ? SomeNumber(kClasses) : Random(kClasses), 4);
        Put(&payload, Random(8) == 0 ? SomeNumber(kFeatures) : kFeatures, 4);
        Put(&payload, Crc32Of(sample) ^ (Random(8) == 0 ? 1u << Random(32) : 0), 4);
        break;
      case 6:
        Put(&payload, SomeNumber(kImageBytes), 4);
        Put(&payload, SomeNumber(kImageBytes), 2);
        break;
      case 7: {
        if (Random(6) == 0) sent = SomeNumber(kImageBytes);
        if (sent > image.size()) sent = 0;
        const uint32_t count = Random(static_cast<uint32_t>(image.size()) - sent + 1);
        Put(&payload, sent, 4);
        payload.insert(payload.end(), image.begin() + sent, image.begin() + sent + count);
        if (count > 0 && Random(20) == 0) payload.back() ^= 1;
        payload.resize(payload.size() > 240 ? 240 : payload.size());
        sent += static_cast<uint32_t>(payload.size()) - 4;
        break;
      }
      case 10:
        payload = {static_cast<uint8_t>(Random(20) == 0 ? Random(4) : 0)};
        break;
      case 11: {
        Put(&payload, Random(4), 1);
        const uint32_t bits[] = {0x3c23d70a, 0,          0x7fc00000,
                                 0x7f800000, 0xbf800000, Random(1u << 31)};
        Put(&payload, bits[Random(6)], 4);
        break;
      }
      default:
        break;
    }
    if (Random(25) == 0) payload = RandomBytes(Random(260), 0);
    return MakeFrame(type, sequence, payload);
  }
};

// Damage as a bad line does it, without a zero, which would make it two pieces.
void Mutate(Bytes* frame) {
  for (uint32_t i = 1 + Random(3); i > 0; --i) {
    const uint32_t at = Random(static_cast<uint32_t>(frame->size()) + 1);
    switch (Random(4)) {
      case 0:
        if (at < frame->size()) (*frame)[at] ^= static_cast<uint8_t>(1u << Random(8));
        break;
      case 1:
        if (at < frame->size()) frame->erase(frame->begin() + at);
        break;
      case 2:
        frame->insert(frame->begin() + at, static_cast<uint8_t>(1 + Random(255)));
        break;
      default:
        frame->resize(at);
        break;
    }
    if (frame->empty()) break;
  }
  for (uint8_t& byte : *frame) {
    if (byte == 0) byte = 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  g_random = 0x9E3779B9u ^ static_cast<uint32_t>(atoi(argv[1]));
  const uint32_t frames = static_cast<uint32_t>(atoi(argv[2]));

  alignas(4) static uint8_t arena[tfodl::LinearLearner::ArenaBytes(kFeatures, kClasses)];
  tfodl::LinearLearner learner(tfodl::LinearModel(kFeatures, kClasses), arena, sizeof arena);
  RamStorage storage;
  Pipe pipe;
  const tfodl::Clock clock = {[]() -> uint32_t { return 5; }, []() -> uint32_t { return 7; }};
  tfodl::Device device(&learner, &storage, &pipe, clock, "fuzz");
  Require(device.begin(), "begin");

  Author author;
  uint32_t refused = 0;
  uint32_t answered = 0;
  uint32_t errors = 0;
  uint32_t by_type[12] = {};
  Bytes before(kImageBytes);
  Bytes body(kImageBytes - 32);
  for (uint32_t i = 0; i < frames; ++i) {
    tfodl::CopyFromBody(learner.session(), 0, body.data(), static_cast<uint32_t>(body.size()));
    const uint32_t learned = Crc32Of(body);
    uint8_t slots[2][RamStorage::kSlotBytes];
    memcpy(slots, storage.slots, sizeof slots);
    if (i % 1000 == 0) {  // an image of now, as a client pulls it
      Bytes head;
      Put(&head, 0x4C444F54, 4);
      Put(&head, 1 + (32 << 16), 4);
      Put(&head, learner.model().id, 4);
      Put(&head, 0, 4);
      Put(&head, body.size(), 4);
      Put(&head, learned, 4);
      Put(&head, 0, 4);
      Put(&head, Crc32Of(head), 4);
      author.image = head;
      author.image.insert(author.image.end(), body.begin(), body.end());
    }

    Bytes bytes = Random(4) == 0 ? RandomBytes(1 + Random(400), 1) : author.Next();
    if (Random(3) == 0) Mutate(&bytes);
    Bytes plain;
    const bool is_frame = IsFrame(bytes, &plain);
    bytes.push_back(0);
    if (Random(2) == 0) bytes.insert(bytes.begin(), 0);

    pipe.in = bytes;
    pipe.first = 0;
    pipe.out.clear();
    for (uint32_t polls = 0; polls < 2000; ++polls) device.poll();
    Require(pipe.first == pipe.in.size(), "everything is read");

    tfodl::CopyFromBody(learner.session(), 0, body.data(), static_cast<uint32_t>(body.size()));
    const bool is_unchanged = Crc32Of(body) == learned;
    if (!is_frame) {
      ++refused;
      Require(pipe.out.empty(), "no answer to what is no frame");
      Require(is_unchanged && memcmp(slots, storage.slots, sizeof slots) == 0,
              "no change by what is no frame");
      continue;
    }
    ++answered;
    Require(pipe.out.size() >= 2 && pipe.out.front() == 0 && pipe.out.back() == 0, "an answer");
    const Bytes stuffed(pipe.out.begin() + 1, pipe.out.end() - 1);
    Bytes answer;
    Require(IsFrame(stuffed, &answer), "an answer that is a frame");
    Require(answer[2] == plain[2] && answer[3] == plain[3], "the answer to this request");
    const bool is_error = answer[1] == 0xFF;
    Require(is_error || answer[1] == (plain[1] | 0x80), "the type of the answer");
    if (is_error) {
      ++errors;
      Require(is_unchanged, "an error changes nothing");
    } else if (plain[1] < 12) {
      ++by_type[plain[1]];
    }
  }
  tfodl::LinearLearner again(tfodl::LinearModel(kFeatures, kClasses), arena, sizeof arena);
  tfodl::Keeper keeper(&again, &storage);
  Require(again.Begin(), "begin again");
  keeper.Begin();
  Require(tfodl::StateIsUsable(*again.session().state, again.model().id), "the saved state");
  printf("%u frames, %u answered, %u of them errors, %u no frames\n", frames, answered, errors,
         refused);
  for (int type = 1; type < 12; ++type) printf("type %d: %u done\n", type, by_type[type]);
  return 0;
}
