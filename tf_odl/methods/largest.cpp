// The k largest entries of every row that are not zero: the search of tf_odl/methods/top_k.py.
//
// Entries are floats that are not negative, as the integers their bits are, which have the same
// order. Most of a row is zero behind a ReLU and pooling, so the others are moved together first;
// of these, 256 bins of a sixteenth of an octave each, from the largest down, tell where the k-th
// largest lies, and only the few entries of its bin are selected from.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace {

constexpr int kBins = 256;
constexpr int kShift = 19;     // of a float's bits: four bits of the mantissa are left
constexpr int kTooFew = 64;    // entries for which bins are no gain

int Bin(int32_t top, int32_t entry) { return std::min((top - entry) >> kShift, kBins - 1); }

// Of n entries; 1 <= k <= n. Changes their order.
int32_t KthLargest(int32_t* entries, int32_t n, int32_t k) {
  if (n > kTooFew) {
    const int32_t top = *std::max_element(entries, entries + n);
    int32_t bins[kBins] = {};
    for (int32_t i = 0; i < n; i++) bins[Bin(top, entries[i])]++;
    int bin = 0;
    while (k > bins[bin]) k -= bins[bin++];
    int32_t count = 0;
    for (int32_t i = 0; i < n; i++) {
      const int32_t entry = entries[i];
      entries[count] = entry;
      count += Bin(top, entry) == bin;
    }
    n = count;
  }
  std::nth_element(entries, entries + k - 1, entries + n, std::greater<int32_t>());
  return entries[k - 1];
}

// The entries that are not zero, one after the other; without a branch nobody could predict.
int32_t NonZero(const int32_t* row, int32_t size, int32_t* entries) {
  int32_t count = 0;
  for (int32_t i = 0; i < size; i++) {
    const int32_t entry = row[i];
    entries[count] = entry;
    count += static_cast<uint32_t>(-entry) >> 31;
  }
  return count;
}

}  // namespace

// Sets those entries of mask, [rows, size], and clears the others; of equal ones the first are
// taken. count: how many of each row are set.
extern "C" void TfOdlLargest(const int32_t* bits, const int32_t* k, int32_t rows, int32_t size,
                             uint8_t* mask, int32_t* count) {
  std::vector<int32_t> entries(size + 1);
  for (int32_t r = 0; r < rows; r++, bits += size, mask += size) {
    const int32_t wanted = k[r];
    int32_t filled = 0;
    for (int32_t i = 0; i < size; i++) filled += bits[i] > 0;
    int32_t threshold = 1;
    if (wanted < 1) {
      threshold = INT32_MAX;
    } else if (filled > wanted) {
      threshold = KthLargest(entries.data(), NonZero(bits, size, entries.data()), wanted);
    }
    int32_t reached = 0;
    for (int32_t i = 0; i < size; i++) {
      mask[i] = bits[i] >= threshold;
      reached += mask[i];
    }
    for (int32_t i = size - 1; reached > wanted; i--) {
      if (bits[i] == threshold) {
        mask[i] = 0;
        reached--;
      }
    }
    count[r] = reached;
  }
}
