// A board as a program: a LinearLearner that answers docs/protocol.md on standard input and output.
//
//   board [--features N] [--classes N] [--learning-rate F] [--skip F] [--storage FILE]
//
// It ends with its input. Features are int8 with a scale of 1/127. Without FILE it has no storage.
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "file_storage.h"
#include "tfodl/board/device.h"
#include "tfodl/linear_learner.h"

namespace {

int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1000000} + now.tv_nsec / 1000;
}

const int64_t g_start = Now();

uint32_t Microseconds() { return static_cast<uint32_t>(Now() - g_start); }

uint32_t Milliseconds() { return static_cast<uint32_t>((Now() - g_start) / 1000); }

class StandardStream final : public tfodl::ByteStream {
 public:
  uint32_t Read(uint8_t* data, uint32_t bytes) override {
    pollfd in = {STDIN_FILENO, POLLIN, 0};
    if (poll(&in, 1, 0) <= 0) return 0;
    const ssize_t taken = read(STDIN_FILENO, data, bytes);
    if (taken <= 0) has_ended_ = true;
    return taken > 0 ? static_cast<uint32_t>(taken) : 0;
  }

  uint32_t Write(const uint8_t* data, uint32_t bytes) override {
    const ssize_t taken = write(STDOUT_FILENO, data, bytes);
    if (taken < 0) has_ended_ = true;
    return taken > 0 ? static_cast<uint32_t>(taken) : 0;
  }

  bool has_ended() const { return has_ended_; }

 private:
  bool has_ended_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  tfodl::LinearModel model(561, 6);
  const char* path = nullptr;
  for (int i = 1; i + 1 < argc; i += 2) {
    const char* value = argv[i + 1];
    if (strcmp(argv[i], "--features") == 0) model.features = static_cast<uint32_t>(atoi(value));
    if (strcmp(argv[i], "--classes") == 0) model.classes = static_cast<uint32_t>(atoi(value));
    if (strcmp(argv[i], "--learning-rate") == 0) model.learning_rate = strtof(value, nullptr);
    if (strcmp(argv[i], "--skip") == 0) model.skip_threshold = strtof(value, nullptr);
    if (strcmp(argv[i], "--storage") == 0) path = value;
  }
  const uint32_t arena_bytes = tfodl::LinearLearner::ArenaBytes(model.features, model.classes);
  void* const arena = malloc(arena_bytes);
  tfodl::LinearLearner learner(model, arena, arena_bytes);
  FileStorage storage(path, 1 << 20);
  StandardStream stream;
  tfodl::Device device(&learner, path != nullptr ? &storage : nullptr, &stream,
                       tfodl::Clock{Milliseconds, Microseconds}, "host");
  if (!device.begin()) {
    fprintf(stderr, "the model cannot be used\n");
    return 1;
  }
  while (!stream.has_ended()) {
    pollfd in = {STDIN_FILENO, POLLIN, 0};
    poll(&in, 1, 50);
    device.poll();
  }
  free(arena);
  return 0;
}
