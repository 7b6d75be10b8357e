#include "tfodl/optimize.h"

#include "tfodl/kernels/delta.h"

#include "tfodl/float_math.h"
#include "tfodl/kernels/error_type.h"

namespace tfodl {
namespace {

// For y outside the range in which every error passes.
bool Passes(int32_t y, float error, int32_t act_min, int32_t act_max) {
  if (y <= act_min || y >= act_max) return false;
  if (y == 127) return !(error < 0.0f);
  if (y == -128) return !(error > 0.0f);
  return true;
}

}  // namespace

template <class Error>
ErrorSummary MaskError(const int8_t* y, int32_t act_min, int32_t act_max, uint32_t count,
                       Error* error) {
  float sum = 0.0f;
  uint32_t largest = 0;  // magnitudes order like their bits
  uint32_t non_zero = 0;
  // Every error passes where `y` - `low`, as an unsigned number, is below `levels`.
  const int32_t low = act_min < -128 ? -127 : act_min + 1;
  const int32_t high = act_max > 127 ? 126 : act_max - 1;
  const uint32_t levels = high < low ? 0 : static_cast<uint32_t>(high - low + 1);
  for (const Error* const end = error + count; error != end; ++error) {
    const float value = ToFloat(*error);
    const uint32_t magnitude = MagnitudeBits(value);
    if (y != nullptr) {
      const int32_t output = *y++;
      if (__builtin_expect(static_cast<uint32_t>(output - low) >= levels, 0) &&
          !Passes(output, value, act_min, act_max)) {
        ClearError(error);
        continue;
      }
    }
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
