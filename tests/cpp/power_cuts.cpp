// Cuts the power at every byte of everything that writes to a storage, and looks at what is left.
// Prints one line per kind of cut: name, cuts, ends with the old state, ends with the new state.
#include <stdio.h>
#include <string.h>

#include <initializer_list>

#include "ram_storage.h"
#include "require.h"
#include "tfodl/linear_learner.h"
#include "tfodl/storage/keeper.h"

namespace {

using tfodl::Keeper;
using tfodl::Kept;
using tfodl::LinearLearner;
using tfodl::LinearModel;

constexpr uint32_t kFeatures = 37;  // the image is no multiple of anything
constexpr uint32_t kClasses = 3;
constexpr uint32_t kArenaBytes = LinearLearner::ArenaBytes(kFeatures, kClasses);
constexpr uint32_t kMostImageBytes = 512;

LinearModel Model(uint32_t seed) {
  LinearModel model(kFeatures, kClasses);
  model.rng_seed = seed;  // is part of the model id
  return model;
}

struct Image {
  uint32_t bytes = 0;
  uint8_t data[kMostImageBytes] = {};

  bool operator==(const Image& other) const {
    return bytes == other.bytes && memcmp(data, other.data, bytes) == 0;
  }
};

// A board from power on to power off.
struct Board {
  explicit Board(RamStorage* storage, uint32_t seed = 1)
      : learner(Model(seed), arena, sizeof arena), keeper(&learner, storage) {
    Require(learner.Begin(), "Begin");
    keeper.Begin();
  }

  void Teach(uint32_t samples) {
    for (uint32_t i = 0; i < samples; ++i) {
      int8_t* input = static_cast<int8_t*>(learner.model().input);
      for (uint32_t j = 0; j < kFeatures; ++j) input[j] = static_cast<int8_t>(7 * i + 31 * j);
      Require(learner.Learn(static_cast<int32_t>(i % kClasses)).ok, "Learn");
    }
  }

  Image Read() const {
    Image image;
    image.bytes = keeper.image_bytes();
    Require(image.bytes <= kMostImageBytes, "room for the image");
    keeper.ReadImage(0, image.data, image.bytes);
    return image;
  }

  alignas(4) uint8_t arena[kArenaBytes];
  LinearLearner learner;
  Keeper keeper;
};

Kept WriteIn(Keeper* keeper, const Image& image, uint32_t piece) {
  for (uint32_t offset = 0; offset < image.bytes; offset += piece) {
    const uint32_t left = image.bytes - offset;
    const Kept result = keeper->Write(offset, image.data + offset, left < piece ? left : piece);
    if (result != Kept::kOk) return result;
  }
  return Kept::kOk;
}

enum class Action { kSave, kPush, kErase };

bool Do(Action action, Board* board, const Image& pushed) {
  switch (action) {
    case Action::kSave:
      return board->keeper.Save() == Kept::kOk;
    case Action::kPush:
      return WriteIn(&board->keeper, pushed, 13) == Kept::kOk;
    case Action::kErase:
      return board->keeper.Erase() == Kept::kOk;
  }
  return false;
}

// `saves` before: 0 starts with an empty storage, 1 with one slot in use, 2 with both.
void CutEverywhere(const char* name, Action action, uint32_t saves, uint8_t torn) {
  RamStorage before;
  memset(before.slots, saves == 0 ? 0 : 0x5A, sizeof before.slots);
  Board teacher(&before);
  for (uint32_t i = 0; i < saves; ++i) {
    teacher.Teach(3);
    Require(teacher.keeper.Save() == Kept::kOk, "a save without a cut");
  }
  const Image old_state = teacher.Read();
  Board other(nullptr);
  other.Teach(11);
  const Image pushed = other.Read();
  Board exported(nullptr);
  const Image reset_state = exported.Read();

  uint32_t cuts = 0;
  uint32_t ends_old = 0;
  uint32_t ends_new = 0;
  for (bool has_finished = false; !has_finished; ++cuts) {
    RamStorage storage;
    memcpy(storage.slots, before.slots, sizeof storage.slots);
    Image new_state;
    {
      Board board(&storage);
      Require(board.Read() == old_state, "the start of the trial");
      if (action == Action::kSave) board.Teach(5);
      new_state = action == Action::kPush ? pushed
                  : action == Action::kErase ? reset_state : board.Read();
      storage.torn = torn;
      storage.Restore(cuts);
      has_finished = Do(action, &board, pushed);
    }
    storage.Restore(RamStorage::kNever);
    Board board(&storage);
    const Image now = board.Read();
    const bool is_new = now == new_state;
    Require(is_new || now == old_state, "neither the old nor the new state");
    Require(is_new || !has_finished, "it said that it was done");
    ++(is_new ? ends_new : ends_old);
    // And the board goes on.
    board.Teach(2);
    const Image next = board.Read();
    Require(board.keeper.Save() == Kept::kOk, "the next save");
    Board later(&storage);
    Require(later.keeper.was_loaded() && later.Read() == next, "the state of the next save");
  }
  printf("%s after %u saves, torn 0x%02X: %u cuts %u old %u new\n", name,
         static_cast<unsigned>(saves), static_cast<unsigned>(torn), static_cast<unsigned>(cuts),
         static_cast<unsigned>(ends_old), static_cast<unsigned>(ends_new));
}

void AnotherModelStartsAsExported() {
  RamStorage storage;
  Image exported;
  {
    Board board(&storage);
    exported = board.Read();
    for (uint32_t i = 0; i < 3; ++i) {
      board.Teach(3);
      Require(board.keeper.Save() == Kept::kOk, "Save");
    }
  }
  Board other(&storage, 2);
  Require(!other.keeper.was_loaded() && other.keeper.sequence() == 0, "no state of this model");
  Require(other.keeper.Load() == Kept::kNothingSaved, "nothing to load");
  Require(other.learner.session().state->samples == 0, "as exported");
  other.Teach(4);
  Require(other.keeper.Save() == Kept::kOk, "a save of the new model");
  Board again(&storage, 2);
  Require(again.keeper.was_loaded() && again.Read() == other.Read(), "the new model's state");
  Require(WriteIn(&again.keeper, exported, 32) == Kept::kDamaged, "an image of another model");
  Require(again.Read() == other.Read(), "nothing changed");
  printf("another model starts as exported\n");
}

// Flips every bit of a saved image: it is then none, and the one before it is the state.
void EveryFlippedBitIsFound() {
  RamStorage storage;
  Image states[2];
  uint32_t bytes = 0;
  {
    Board board(&storage);
    for (Image& state : states) {
      board.Teach(3);
      Require(board.keeper.Save() == Kept::kOk, "Save");
      state = board.Read();
    }
    bytes = board.keeper.image_bytes();
  }
  for (uint32_t bit = 0; bit < 8 * bytes; ++bit) {
    storage.slots[1][bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    Board board(&storage);
    Require(board.keeper.was_loaded() && board.Read() == states[0], "the older image");
    storage.slots[1][bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
  Board board(&storage);
  Require(board.Read() == states[1], "the newer image");
  printf("%u flipped bits found\n", static_cast<unsigned>(8 * bytes));
}

void PushesThatAreRefusedChangeNothing() {
  RamStorage storage;
  Board board(&storage);
  board.Teach(3);
  Require(board.keeper.Save() == Kept::kOk, "Save");
  const Image saved = board.Read();
  Board other(nullptr);
  other.Teach(9);
  const Image good = other.Read();
  uint32_t refused = 0;
  for (uint32_t bit = 0; bit < 8 * good.bytes; ++bit) {
    // The sequence number and its checksum are made anew, but have to hold.
    Image bad = good;
    bad.data[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    Require(WriteIn(&board.keeper, bad, 29) == Kept::kDamaged, "a damaged image");
    Require(board.Read() == saved, "nothing changed in memory");
    ++refused;
  }
  Board later(&storage);
  Require(later.Read() == saved && later.keeper.sequence() == 1, "nothing changed in the storage");
  Require(later.keeper.Write(4, good.data, 4) == Kept::kOutOfOrder, "a start in the middle");
  Require(later.keeper.Write(0, good.data, 40) == Kept::kOk, "the first piece");
  Require(later.keeper.Write(44, good.data + 44, 4) == Kept::kOutOfOrder, "a gap");
  Require(later.keeper.Write(40, good.data + 40, 4) == Kept::kOk, "the next piece");
  Require(later.keeper.Save() == Kept::kOk, "a save in between");
  Require(later.keeper.Write(44, good.data + 44, 4) == Kept::kOutOfOrder, "its slot is gone");
  Require(WriteIn(&later.keeper, good, good.bytes) == Kept::kOk, "the whole image");
  Require(later.Read() == good, "is loaded");
  printf("%u damaged images refused\n", static_cast<unsigned>(refused));
}

void NoStorage() {
  RamStorage absent;
  absent.exists = false;
  tfodl::Storage* const none[] = {nullptr, &absent};
  for (tfodl::Storage* storage : none) {
    Board board(static_cast<RamStorage*>(storage));
    Require(!board.keeper.has_storage(), "no storage");
    Require(board.keeper.Save() == Kept::kNoStorage, "Save");
    Require(board.keeper.Load() == Kept::kNoStorage, "Load");
    Require(board.keeper.Erase() == Kept::kNoStorage, "Erase");
    Require(board.keeper.Write(0, absent.slots[0], 4) == Kept::kNoStorage, "Write");
  }
  printf("no storage is said so\n");
}

// 10 samples a second, looked at every second.
uint32_t SavesIn(uint32_t seconds, bool only_improvements, float first_loss, float last_loss) {
  RamStorage storage;
  Board board(&storage);
  if (only_improvements) {
    board.keeper.SaveWhenImproved(60000);
  } else {
    board.keeper.SaveEvery(60000);
  }
  for (uint32_t second = 1; second <= seconds; ++second) {
    tfodl::Step step = {};
    step.ok = true;
    step.loss = first_loss + (last_loss - first_loss) * static_cast<float>(second) /
                                 static_cast<float>(seconds);
    for (uint32_t i = 0; i < 10; ++i) board.keeper.CountStep(step);
    board.keeper.Poll(second * 1000);
  }
  return board.keeper.saves();
}

void SavesAreBounded() {
  Require(SavesIn(3600, false, 1.0f, 1.0f) == 60, "one a minute");
  Require(SavesIn(3600, true, 2.0f, 1.0f) == 60, "each better than the last");
  Require(SavesIn(3600, true, 1.0f, 2.0f) == 1, "only the first");
  RamStorage storage;
  Board board(&storage);
  board.keeper.SaveEvery(1000);
  for (uint32_t now = 0; now < 100000; now += 100) board.keeper.Poll(now);
  Require(board.keeper.saves() == 0, "nothing learned, nothing saved");
  printf("automatic saves are bounded\n");
}

}  // namespace

int main() {
  for (const int torn : {0x00, 0xFF, 0xA5}) {
    for (uint32_t saves = 0; saves <= 3; ++saves) {
      CutEverywhere("save", Action::kSave, saves, static_cast<uint8_t>(torn));
      CutEverywhere("push", Action::kPush, saves, static_cast<uint8_t>(torn));
      if (saves > 0) CutEverywhere("erase", Action::kErase, saves, static_cast<uint8_t>(torn));
    }
  }
  AnotherModelStartsAsExported();
  EveryFlippedBitIsFound();
  PushesThatAreRefusedChangeNothing();
  NoStorage();
  SavesAreBounded();
  return 0;
}
