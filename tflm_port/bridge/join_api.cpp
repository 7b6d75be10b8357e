// C functions that run the kernels of branching models on plain buffers, for tests.
#include <stdint.h>

#include "tfodl/join_options.h"
#include "tfodl/kernels/add_errors.h"
#include "tfodl/kernels/crop_error.h"

extern "C" {

int tfodl_parse_add(const uint8_t* blob, uint32_t length) {
  tfodl::AddOptions options;
  return tfodl::ParseAdd(blob, length, &options) ? 1 : 0;
}

// Returns 0 when the options are refused.
int tfodl_crop_error(const uint8_t* blob, uint32_t length, const float* error, float* error_x) {
  tfodl::CropOptions options;
  if (!tfodl::ParseCrop(blob, length, &options)) return 0;
  tfodl::CropError(options, error, error_x);
  return 1;
}

void tfodl_add_errors(const float* other, uint32_t count, float* sum) {
  tfodl::AddErrors(other, count, sum);
}

}  // extern "C"
