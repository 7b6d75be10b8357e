#include "tfodl/optimize.h"

#include "tfodl/kernels/delta.h"

#include "tfodl/float_math.h"
#include "tfodl/kernels/error_type.h"

namespace tfodl {
namespace {

// For y above act_min, outside the range in which every error passes: at a bound, or at an end of
// int8. There an error that is below 0, or above it at -128, is stopped; by its bits, a NaN is
// neither.
bool Passes(int32_t y, uint32_t bits, int32_t act_max) {
  if (y >= act_max) return false;
  if (y == -128) bits ^= 0x80000000u;
  return bits - 0x80000001u >= 0x7f800000u;
}

}  // namespace

template <class Error>
ErrorSummary MaskError(const int8_t* y, int32_t act_min, int32_t act_max, uint32_t count,
                       Error* error) {
  float sum = 0.0f;
  uint32_t largest = 0;  // magnitudes order like their bits
  uint32_t non_zero = 0;
  // Every error passes where `y` - `low`, as an unsigned number, is below `levels`.
  int32_t low = act_min < -128 ? -127 : act_min + 1;
  const int32_t high = act_max > 127 ? 126 : act_max - 1;
  uint32_t levels = high < low ? 0 : static_cast<uint32_t>(high - low + 1);
  if (y == nullptr) {  // any bytes will do: all of them pass
    y = reinterpret_cast<const int8_t*>(error);
    act_min = -129;
    low = -128;
    levels = 256;
  }
  y += count;
  error += count;
  TFODL_OPAQUE(y);
  TFODL_OPAQUE(error);
  for (int32_t i = -static_cast<int32_t>(count); i != 0; ++i) {
    TFODL_OPAQUE(i);
    const int32_t output = y[i];
    if (output <= act_min) {
      ClearError(&error[i]);
      continue;
    }
    const Error passed = error[i];
    if (__builtin_expect(static_cast<uint32_t>(output - low) >= levels, 0) &&
        !Passes(output, ErrorBits(passed), act_max)) {
      ClearError(&error[i]);
      continue;
    }
    const uint32_t magnitude = ErrorMagnitude(passed);
    if (magnitude == 0) continue;
    sum += FloatFromBits(magnitude);
    if (magnitude > largest) largest = magnitude;
    ++non_zero;
  }
  return ErrorSummary{sum, FloatFromBits(largest), non_zero};
}

template ErrorSummary MaskError(const int8_t* y, int32_t act_min, int32_t act_max, uint32_t count,
                                float* error);
template ErrorSummary MaskError(const int8_t* y, int32_t act_min, int32_t act_max, uint32_t count,
                                Bfloat16* error);

}  // namespace tfodl
