#include "tfodl/loss_options.h"

#include "tfodl/option_checks.h"

namespace tfodl {

bool ParseLoss(const uint8_t* blob, uint32_t length, LossOptions* options) {
  if (!CopyOptions(blob, length, options)) return false;
  const LossOptions& o = *options;
  return IsPositiveNumber(o.scale) && IsInt8(o.zero_point) && IsPositiveNumber(o.target_scale) &&
         IsInt8(o.target_zero_point) && IsSkipSettings(o.skip);
}

}  // namespace tfodl
