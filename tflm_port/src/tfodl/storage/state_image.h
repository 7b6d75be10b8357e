// The body of the state image: the state, then the learned variables, without gaps.
#ifndef TFODL_STORAGE_STATE_IMAGE_H_
#define TFODL_STORAGE_STATE_IMAGE_H_

#include <stdint.h>

#include "tfodl/session.h"

namespace tfodl {

// The state and the variables as one list: part 0 is the state.
uint32_t ImageParts(const Session& session);
Variable ImagePart(const Session& session, uint32_t index);

uint32_t ImageBodyBytes(const Session& session);
uint32_t ImageBodyCrc(const Session& session);

// Requires offset + bytes <= ImageBodyBytes().
void CopyFromBody(const Session& session, uint32_t offset, void* data, uint32_t bytes);

// Whether a state that comes from outside can be learned on with.
bool StateIsUsable(const State& state, uint32_t model_id);

}  // namespace tfodl

#endif  // TFODL_STORAGE_STATE_IMAGE_H_
