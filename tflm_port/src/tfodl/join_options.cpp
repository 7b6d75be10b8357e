#include "tfodl/join_options.h"

#include "tfodl/option_checks.h"

namespace tfodl {
namespace {

// One axis of the box: it has at least one element, and the map has all of them.
bool IsInside(uint32_t first, uint32_t size, uint32_t whole) {
  return size >= 1 && whole <= kMaxExtent && size <= whole && first <= whole - size;
}

}  // namespace

bool ParseAdd(const uint8_t* blob, uint32_t length, AddOptions* options) {
  return CopyOptions(blob, length, options) && options->count >= 1 &&
         options->count <= kMaxElements && IsRangeAroundInt8(options->act_min, options->act_max);
}

bool ParseCrop(const uint8_t* blob, uint32_t length, CropOptions* options) {
  if (!CopyOptions(blob, length, options)) return false;
  const CropOptions& o = *options;
  return IsInside(o.top, o.in_h, o.out_h) && IsInside(o.left, o.in_w, o.out_w) &&
         IsInside(o.first_c, o.in_c, o.out_c) &&
         uint64_t{o.out_h} * o.out_w <= kMaxElements &&
         uint64_t{o.out_h} * o.out_w * o.out_c <= kMaxElements;
}

}  // namespace tfodl
