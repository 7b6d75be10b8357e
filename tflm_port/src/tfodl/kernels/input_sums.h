// Where the input gradient of a convolution is summed up as int32 before it becomes an error.
//
//   InputSums<Error> sums(args, error_x);
//   for each row of outputs, from the first one on:
//     ... add to the pixels that its windows look at, from sums.At(position, patch) on
//   sums.Finish();
//
// Floats take as much memory as the sums, so all inputs are summed up in their place. Where an
// error is smaller, the rows that a window looks at are summed up in scratch memory, and a row
// becomes an error as soon as no window looks at it any more.
#ifndef TFODL_KERNELS_INPUT_SUMS_H_
#define TFODL_KERNELS_INPUT_SUMS_H_

#include "tfodl/dsp.h"
#include "tfodl/kernels/backward_args.h"
#include "tfodl/kernels/error_type.h"
#include "tfodl/kernels/integer_error.h"
#include "tfodl/kernels/patch.h"

namespace tfodl {

template <class Error>
class InputSums;

template <>
class InputSums<float> {
 public:
  TFODL_INLINE InputSums(const BackwardArgs& args, LayerKind kind, float* error_x)
      : args_(args), kind_(kind), sums_(reinterpret_cast<int32_t*>(error_x)) {
    Clear(sums_, args.layer.InputCount());
  }
  TFODL_INLINE int32_t* At(uint32_t, const Patch& patch) { return sums_ + patch.pixel; }
  TFODL_INLINE void Finish() {
    const LayerOptions& o = args_.layer.options;
    ToRealErrors(args_.layer, kind_, args_.unit, o.in_h * o.in_w, sums_);
  }

 private:
  const BackwardArgs& args_;
  LayerKind kind_;
  int32_t* sums_;
};

template <>
class InputSums<Bfloat16> {
 public:
  InputSums(const BackwardArgs& args, LayerKind kind, Bfloat16* error_x);
  int32_t* At(uint32_t position, const Patch& patch);
  void Finish() { Advance(args_.layer.options.in_h); }

  // Rows of the input that the windows of one row of outputs look at.
  static uint32_t RowsHeld(const LayerOptions& o) {
    return o.kernel_h < o.in_h ? o.kernel_h : o.in_h;
  }

 private:
  // The rows in front of `row` become errors.
  void Advance(uint32_t row);

  const BackwardArgs& args_;
  LayerKind kind_;
  Bfloat16* next_;  // of error_x, the first element of row_
  uint32_t row_;    // the input's first row that is held
};

}  // namespace tfodl

#endif  // TFODL_KERNELS_INPUT_SUMS_H_
