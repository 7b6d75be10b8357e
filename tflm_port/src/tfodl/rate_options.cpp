#include "tfodl/rate_options.h"

#include "tfodl/option_checks.h"

namespace tfodl {

bool ParseRate(const uint8_t* blob, uint32_t length, RateOptions* options) {
  RateOptions o;
  if (!CopyOptions(blob, length, &o)) return false;
  *options = o;
  return o.schedule <= kCosineRate && o.samples >= 1 && o.factor >= 0.0f && o.factor <= 1.0f &&
         IsFinite(o.clip) && o.clip >= 0.0f;
}

}  // namespace tfodl
