// Two windows of the input at a time, widened to int16 minus the zero point, times the weights of
// two output channels at a time.
//
// In the scratch memory the windows lie side by side in groups of four elements: of both windows
// elements 0 and 2, then 1 and 3. The first group has those that are no whole group, and zeros
// behind them. Windows of less than a group lie side by side element by element. Behind both
// windows is room for one as bytes.
#include "tfodl/optimize.h"
#include "tfodl/kernels/conv_2d.h"

#include <string.h>

#include "tfodl/kernels/requantize.h"
#include "tfodl/kernels/window_range.h"

namespace tfodl {
namespace {

constexpr uint32_t kGroup = 4;
constexpr uint32_t kChannels = 4;  // that are requantized together

TFODL_INLINE bool AreGrouped(uint32_t count) { return count >= kGroup; }

#if !TFODL_HAS_DSP
// Where the elements of a group are.
constexpr uint32_t kPlace[kGroup] = {0, 4, 1, 5};
#endif

// The bytes of a window: of several rows, no group is in two of them.
struct Rows {
  uint32_t length, count;
};

// How windows become int16.
struct Widening {
  TFODL_COLD Widening(const ConvOptions& o, int16_t* scratch);

  uint32_t count;      // elements of a window
  uint32_t first;      // of them in the first group
  uint32_t even, odd;  // masks of that
  uint32_t offsets;    // a pair
  int32_t zero_point;
  uint32_t next;          // bytes from one row of the input to the next
  Rows gathered, inside;  // of a window in `bytes`, and where it is in the input
  bool in_place;          // whether windows that are all inside the input are not copied
  uint32_t columns;       // of the input at which a window begins that has all of its columns
  int16_t *windows, *second;
  int8_t* bytes;
};

TFODL_HOT void Widen(const Widening& w, const int8_t* x, const Rows& rows, int16_t* to) {
  const int8_t* end = x + rows.length;
  if (AreGrouped(w.count)) {
#if TFODL_HAS_DSP
    const uint32_t offsets = w.offsets;
    const uint32_t bytes = LoadWord(x);
    StoreWord(to, EvenBytes(offsets, bytes) & w.even);
    StoreWord(to + kGroup, OddBytes(offsets, bytes) & w.odd);
    x += w.first;
    for (uint32_t row = rows.count;;) {
      for (; x != end; x += kGroup) {
        const uint32_t group = LoadWord(x);
        to += 2 * kGroup;
        StoreWord(to, EvenBytes(offsets, group));
        StoreWord(to + kGroup, OddBytes(offsets, group));
      }
      if (--row == 0) return;
      end += w.next;
      x = end - rows.length;
    }
#else
    for (uint32_t i = w.first; i < kGroup; ++i) to[kPlace[i]] = 0;
    uint32_t place = 0, group = w.first;
    for (uint32_t row = rows.count; row > 0; --row, end += w.next, x = end - rows.length) {
      for (; x != end; ++x) {
        to[kPlace[place]] = static_cast<int16_t>(*x - w.zero_point);
        if (++place < group) continue;
        place = 0;
        group = kGroup;
        to += 2 * kGroup;
      }
    }
    return;
#endif
  }
  for (; x != end; ++x, to += 2) *to = static_cast<int16_t>(*x - w.zero_point);
}

// Makes the second window the same as the first one.
TFODL_COLD void CopyWindow(const Widening& w) {
  const uint32_t side = static_cast<uint32_t>(w.second - w.windows);  // that lie together
  for (int16_t* to = w.windows; to < reinterpret_cast<int16_t*>(w.bytes); to += 2 * side) {
    for (uint32_t i = 0; i < side; ++i) to[side + i] = to[i];
  }
}

Widening::Widening(const ConvOptions& o, int16_t* scratch)
    : count(FanIn(o, LayerKind::kConv2D)),
      first((count - 1) % kGroup + 1),
      even(first > 2 ? 0xffffffffu : 0xffffu),
      odd(first > 3 ? 0xffffffffu : first > 1 ? 0xffffu : 0),
      offsets(MakePair(-o.x_zero_point, -o.x_zero_point)),
      zero_point(o.x_zero_point),
      next(o.in_w * o.in_c),
      gathered{count, 1},
      inside{o.kernel_w * o.in_c, o.kernel_h},
      in_place(o.kernel_h * o.kernel_w == 1 || (AreGrouped(count) && inside.length % kGroup == 0)),
      columns(o.kernel_w <= o.in_w && (in_place || inside.length > 2) ? o.in_w - o.kernel_w + 1
                                                                      : 0),
      windows(scratch),
      second(scratch + (AreGrouped(count) ? 2 : 1)),
      bytes(reinterpret_cast<int8_t*>(scratch + (count + kGroup - 1) / kGroup * 2 * kGroup)) {}

// As Multiply, element by element.
TFODL_NOINLINE const int8_t* MultiplyElements(const WindowPair& pair, const int8_t* weights,
                                              int32_t* sums) {
  for (; sums != pair.end; sums += 2, weights += pair.other) {
    int32_t a0 = sums[0], b0 = sums[1], a1 = sums[kChannels], b1 = sums[kChannels + 1];
    const auto add = [&](int32_t first, int32_t second) {
      const int32_t a = weights[0], b = weights[pair.other];
      a0 = AddProduct(a0, a, first);
      a1 = AddProduct(a1, a, second);
      b0 = AddProduct(b0, b, first);
      b1 = AddProduct(b1, b, second);
      ++weights;
    };
    const int16_t* element = pair.elements;
    uint32_t count = pair.count;
#if !TFODL_HAS_DSP
    if (AreGrouped(count)) {
      const int16_t* const end = element + (pair.count + kGroup - 1) / kGroup * 2 * kGroup;
      for (uint32_t group = pair.first; element != end; element += 2 * kGroup, group = kGroup) {
        for (uint32_t i = 0; i < group; ++i) add(element[kPlace[i]], element[kPlace[i] + 2]);
      }
      count = 0;
    }
#endif
    for (; count > 0; --count, element += 2) add(element[0], element[1]);
    sums[0] = a0;
    sums[1] = b0;
    sums[kChannels] = a1;
    sums[kChannels + 1] = b1;
  }
  return weights;
}

// Adds to the sums of the first window up to their end, and to those of the second one, kChannels
// behind, the products of rows of weights, two at a time; returns what is behind these.
TFODL_HOT const int8_t* Multiply(const WindowPair& pair, const int8_t* weights, int32_t* sums) {
#if TFODL_HAS_DSP
  if (AreGrouped(pair.count)) return MultiplyWindows(&pair, weights, sums);
#endif
  return MultiplyElements(pair, weights, sums);
}

constexpr int32_t kNoBias[kChannels] = {0, 0, 0, 0};

// All channels of pairs of output pixels.
class Pixels {
 public:
  TFODL_COLD Pixels(const Conv& conv, const Widening& widening, const int8_t* weights,
                    const int32_t* bias);

  void Compute(int8_t* y0, int8_t* y1);

  // Whether windows are 3x3 of one channel, which Nine computes one at a time.
  bool AreNine(const ConvOptions& o) const {
    return TFODL_HAS_DSP != 0 && o.kernel_h == 3 && o.kernel_w == 3 && o.in_c == 1 &&
           bias_step_ == 1 && requantizer_.IsPlain();
  }
  // All channels of the output pixel of such a window. next: bytes from one of its rows to the
  // next.
  void Nine(const Widening& w, const int8_t* x, uint32_t next, int8_t* y) const;

 private:
  void Few(int8_t* y0, int8_t* y1);

  // The sums of both windows at the biases of four channels.
  TFODL_INLINE void StartAt(const int32_t* bias) {
#if TFODL_HAS_DSP
    const FourSums four = LoadFour(bias);
    int32_t* to = sums_;
    StoreFour(four, &to);
    StoreFour(four, &to);
#else
    for (uint32_t i = 0; i < kChannels; ++i) sums_[i] = sums_[kChannels + i] = bias[i];
#endif
  }

  const Requantizer requantizer_;
  const int8_t* const weights_;
  const int32_t* const bias_;
  const uint32_t bias_step_, channels_;
  WindowPair pair_;
  int32_t sums_[2 * kChannels];
};

Pixels::Pixels(const Conv& conv, const Widening& w, const int8_t* weights, const int32_t* bias)
    : requantizer_(conv.options, conv.scales, conv.options.out_c),
      weights_(weights),
      bias_(bias == nullptr ? kNoBias : bias),
      bias_step_(bias == nullptr ? 0 : 1),
      channels_(conv.options.out_c),
      pair_{w.windows, w.count, w.count, w.first, sums_ + kChannels} {
  if (channels_ < kChannels) {  // one at a time
    pair_.other = 0;
    pair_.end = sums_ + 2;
  }
}

TFODL_COLD void Pixels::Few(int8_t* y0, int8_t* y1) {
  for (uint32_t channel = 0; channel < channels_; ++channel) {
    for (int32_t& sum : sums_) sum = bias_[bias_step_ * channel];
    Multiply(pair_, weights_ + channel * pair_.count, sums_);
    y0[channel] = requantizer_.One(sums_[0], channel);
    y1[channel] = requantizer_.One(sums_[kChannels], channel);
  }
}

TFODL_HOT void Pixels::Compute(int8_t* y0, int8_t* y1) {
  if (channels_ < kChannels) return Few(y0, y1);
  const int8_t* weights = weights_;
  const uint32_t last = channels_ - kChannels;
  for (uint32_t channel = 0;;) {
    StartAt(bias_ + bias_step_ * channel);
    weights = Multiply(pair_, weights, sums_);
    requantizer_.TwoFours(sums_, channel, y0 + channel, y1 + channel);
    if (channel == last) return;
    channel += kChannels;
    if (channel > last) {  // so that the last ones are four, too, some are computed twice
      channel = last;
      weights = weights_ + channel * pair_.count;
    }
  }
}

// Reads no byte before the window's first or behind its last one.
TFODL_HOT void Pixels::Nine(const Widening& w, const int8_t* x, uint32_t next, int8_t* y) const {
#if TFODL_HAS_DSP
  const uint32_t offsets = w.offsets;
  const uint32_t top = LoadWord(x), middle = LoadWord(x + next);
  const uint32_t bottom = LoadWord(x + 2 * next - 1);
  const uint32_t first = (top & 0xffffffu) | middle << 24;
  const uint32_t second = (bottom << 8 & 0xffff0000u) | (middle >> 8 & 0xffffu);
  const NineInputs inputs = {
      EvenBytes(offsets, first), OddBytes(offsets, first), EvenBytes(offsets, second),
      OddBytes(offsets, second),
      MakePair((static_cast<int32_t>(bottom) >> 24) - w.zero_point, requantizer_.zero_point())};
  MultiplyNine(inputs, weights_, bias_, requantizer_.scales().multipliers,
               requantizer_.scales().shifts, y, y + channels_);
#else
  (void)w, (void)x, (void)next, (void)y;  // AreNine is false
#endif
}

// A window whose rows are all inside the input, and have three bytes at least, as bytes.
TFODL_HOT void CopyRows(const Widening& w, const int8_t* x) {
  const uint32_t length = w.inside.length, next = w.next;
  uint32_t count = w.inside.count;
  int8_t* to = w.bytes;
#if TFODL_HAS_DSP
  // By words: what is behind a row is overwritten by the next one.
  for (; count > 1; --count, x += next, to += length) {
    uint32_t i = 0;
    do {
      StoreWord(to + i, LoadWord(x + i));
      i += 4;
    } while (i < length);
  }
#endif
  for (; count > 0; --count, x += next, to += length) CopyBytes(x, length, to);
}

// The window of an output pixel as bytes: the zero point where it leaves the input. x: the first of
// its input rows.
TFODL_HOT void Gather(const ConvOptions& o, const int8_t* x, const WindowRange& rows,
                      uint32_t out_x, int8_t* window) {
  const WindowRange columns(out_x, o.stride_w, o.pad_left, o.kernel_w, o.in_w);
  const uint32_t line = o.kernel_w * o.in_c;
  const uint32_t inside = static_cast<uint32_t>(columns.end - columns.begin) * o.in_c;
  const uint32_t height = static_cast<uint32_t>(rows.end - rows.begin);
  if (inside * height != line * o.kernel_h) memset(window, o.x_zero_point, line * o.kernel_h);
  window += static_cast<uint32_t>(rows.begin) * line +
            static_cast<uint32_t>(columns.begin) * o.in_c;
  const uint32_t next = o.in_w * o.in_c;
  x += static_cast<uint32_t>(columns.origin + columns.begin) * o.in_c;
  for (uint32_t row = height; row > 0; --row, x += next, window += line) {
    CopyBytes(x, inside, window);
  }
}

}  // namespace

void Conv2D(const Conv& conv, const int8_t* x, const int8_t* weights, const int32_t* bias,
            int16_t* scratch, int8_t* y) {
  const ConvOptions& o = conv.options;
  const Widening w(o, scratch);
  Pixels pixels(conv, w, weights, bias);
  const bool are_nine = pixels.AreNine(o);
  int8_t* waiting = nullptr;  // the output of the first window
  y += o.first_c;
  for (uint32_t out_y = 0; out_y < o.out_h; ++out_y) {
    const WindowRange range(out_y, o.stride_h, o.pad_top, o.kernel_h, o.in_h);
    const int8_t* const x_rows = x + static_cast<uint32_t>(range.origin + range.begin) * w.next;
    const bool has_all_rows = static_cast<uint32_t>(range.end - range.begin) == o.kernel_h;
    const uint32_t columns = has_all_rows ? w.columns : 0;
    uint32_t left = 0 - o.pad_left;
    for (uint32_t out_x = 0; out_x < o.out_w; ++out_x, y += o.y_c, left += o.stride_w) {
      const int8_t* window = w.bytes;
      const Rows* rows = &w.gathered;
      if (left >= columns) {
        Gather(o, x_rows, range, out_x, w.bytes);
        if (are_nine) {
          pixels.Nine(w, w.bytes, o.kernel_w, y);
          continue;
        }
      } else if (are_nine) {
        pixels.Nine(w, x_rows + left, w.next, y);
        continue;
      } else if (w.in_place) {
        window = x_rows + left * o.in_c;
        rows = &w.inside;
      } else {
        CopyRows(w, x_rows + left * o.in_c);
      }
      if (waiting == nullptr) {
        Widen(w, window, *rows, w.windows);
        waiting = y;
      } else {
        Widen(w, window, *rows, w.second);
        pixels.Compute(waiting, y);
        waiting = nullptr;
      }
    }
  }
  if (waiting != nullptr) {
    CopyWindow(w);
    pixels.Compute(waiting, waiting);
  }
}

}  // namespace tfodl
