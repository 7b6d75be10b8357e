#include "tfodl/float_head_options.h"

#include "tfodl/option_checks.h"

namespace tfodl {

FloatHead ReadFloatHead(const uint8_t* blob) {
  FloatHead head;
  memcpy(&head.options, blob, sizeof head.options);
  head.factors = blob + sizeof head.options;
  return head;
}

bool ParseFloatHead(const uint8_t* blob, uint32_t length, uint32_t outputs, FloatHead* head) {
  FloatHeadOptions o;
  if (length < sizeof o || !CopyOptions(blob, sizeof o, &o)) return false;
  if (!IsInt8(o.x_zero_point) || !IsInt8(o.y_zero_point) ||
      (o.n_factors != 1 && o.n_factors != outputs) || o.n_factors > kMaxExtent ||
      length != sizeof o + o.n_factors * sizeof(float)) {
    return false;
  }
  *head = ReadFloatHead(blob);
  for (uint32_t i = 0; i < o.n_factors; ++i) {
    if (!IsPositiveNumber(head->Factor(i))) return false;
  }
  return true;
}

}  // namespace tfodl
