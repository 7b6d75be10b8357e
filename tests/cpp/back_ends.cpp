// The storage of a board against stand-ins for its core: saves, restarts, a cut before each call to
// the core, another slot, and a sketch that is too large. -DARDUINO_... chooses the board.
#include <stdio.h>
#include <string.h>

#include <TfOdl.h>

#include "require.h"

#if defined(ARDUINO_ARDUINO_NANO33BLE)
uint32_t g_rom_end = 0x40000;
uint8_t g_flash[kStandInFlash];
#elif defined(ARDUINO_ARCH_ESP32)
LittleFsStandIn LittleFS;
#endif

unsigned long millis() { return 1; }
unsigned long micros() { return 1; }

namespace {

// Ends the program's patience after so many calls, as a power cut does.
class CutStorage final : public tfodl::Storage {
 public:
  explicit CutStorage(uint32_t calls) : calls_(calls) {}

  bool Begin() override { return board_.Begin(); }
  uint32_t SlotBytes() const override { return board_.SlotBytes(); }
  bool Erase(uint32_t slot, uint32_t bytes) override { return Runs() && board_.Erase(slot, bytes); }
  bool Write(uint32_t slot, uint32_t offset, const void* data, uint32_t bytes) override {
    return Runs() && board_.Write(slot, offset, data, bytes);
  }
  bool Sync(uint32_t slot) override { return Runs() && board_.Sync(slot); }
  bool Read(uint32_t slot, uint32_t offset, void* data, uint32_t bytes) override {
    return board_.Read(slot, offset, data, bytes);
  }

 private:
  bool Runs() {
    if (calls_ == 0) return false;
    --calls_;
    return true;
  }

  uint32_t calls_;
  tfodl::BoardStorage board_;
};

constexpr uint32_t kFeatures = 301;
constexpr uint32_t kClasses = 3;
constexpr uint32_t kArenaBytes = tfodl::LinearLearner::ArenaBytes(kFeatures, kClasses);

struct Board {
  explicit Board(tfodl::Storage* storage)
      : learner(tfodl::LinearModel(kFeatures, kClasses), tfodl::MakeArena<kArenaBytes>(),
                kArenaBytes),
        keeper(&learner, storage) {
    Require(learner.Begin(), "Begin");
    keeper.Begin();
  }

  void Teach() {
    int8_t* input = static_cast<int8_t*>(learner.model().input);
    for (uint32_t j = 0; j < kFeatures; ++j) input[j] = static_cast<int8_t>(17 * j);
    Require(learner.Learn(1).ok, "Learn");
  }

  uint32_t Samples() const { return learner.session().state->samples; }

  tfodl::LinearLearner learner;
  tfodl::Keeper keeper;
};

}  // namespace

int main() {
  uint32_t saved = 0;
  bool tried = false;
  {
    CutStorage storage(0);
    Board board(&storage);
    Require(board.keeper.has_storage() && !board.keeper.was_loaded(), "an empty storage");
  }
  // The first saves are cut in the middle; later ones get through.
  for (uint32_t calls = 0; calls < 60; ++calls) {
    CutStorage storage(calls);
    Board board(&storage);
    // Cut after its last byte a save is there, though it could not tell.
    Require(board.Samples() == saved || (tried && board.Samples() == saved + 1),
            "the state that was saved last, or all of the one after it");
    saved = board.Samples();
    board.Teach();
    tried = board.keeper.Save() != tfodl::Kept::kOk;
    if (!tried) ++saved;
  }
  Require(saved > 10, "saves that get through");
  {
    CutStorage storage(1000);
    Board board(&storage);
    Require(board.keeper.Erase() == tfodl::Kept::kOk, "Erase");
  }
  CutStorage storage(1000);
  Board board(&storage);
  Require(!board.keeper.was_loaded(), "everything is erased");
#if defined(ARDUINO_ARDUINO_NANO33BLE)
  for (uint32_t i = 0; i < kStandInFlash - 128 * 1024; ++i) Require(g_flash[i] == 0, "the sketch");
  g_rom_end = kStandInFlash - 4096;
  Require(!tfodl::BoardStorage().Begin(), "a sketch that reaches into the slots");
#endif
  printf("%u saves got through\n", static_cast<unsigned>(saved));
  return 0;
}
