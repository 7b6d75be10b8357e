#include "tfodl/dsp.h"

namespace tfodl {

void Clear(int32_t* values, uint32_t count) {
#if TFODL_HAS_DSP
  const FourSums zero = {0, 0, 0, 0};
  const int32_t* const end = values + (count & ~3u);
  while (values != end) StoreFour(zero, &values);
  count &= 3;
#endif
  for (; count > 0; --count) {
    *values++ = 0;
    TFODL_OPAQUE(values);  // so that this does not become a memset
  }
}

}  // namespace tfodl
