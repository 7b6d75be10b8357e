// Access to the training state of the interpreter that was invoked last.
#ifndef TFODL_SESSION_H_
#define TFODL_SESSION_H_

#include <stdint.h>

#include "tfodl/state.h"

namespace tfodl {

// A trainable tensor, in the order of TFODL_SEED.
struct Variable {
  void* data;      // int8 weights or int32 biases, may be read and written between steps
  uint32_t bytes;
};

struct Session {
  State* state;          // null before the first Invoke()
  uint32_t state_bytes;  // with the running maxima behind it
  const Variable* variables;
  uint32_t n_variables;
};

// Valid until that interpreter goes away or its tensors are allocated again.
const Session& CurrentSession();

// Called by TFODL_SEED.
void PublishSession(const Session& session);

}  // namespace tfodl

#endif  // TFODL_SESSION_H_
