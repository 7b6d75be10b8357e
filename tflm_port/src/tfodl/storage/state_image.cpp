#include "tfodl/storage/state_image.h"

#include <string.h>

#include "tfodl/crc.h"
#include "tfodl/float_math.h"

namespace tfodl {

uint32_t ImageParts(const Session& session) { return 1 + session.n_variables; }

Variable ImagePart(const Session& session, uint32_t index) {
  return index == 0 ? Variable{session.state, session.state_bytes} : session.variables[index - 1];
}

uint32_t ImageBodyBytes(const Session& session) {
  uint32_t bytes = 0;
  for (uint32_t i = 0; i < ImageParts(session); ++i) bytes += ImagePart(session, i).bytes;
  return bytes;
}

uint32_t ImageBodyCrc(const Session& session) {
  uint32_t crc = 0;
  for (uint32_t i = 0; i < ImageParts(session); ++i) {
    const Variable part = ImagePart(session, i);
    crc = Crc32(part.data, part.bytes, crc);
  }
  return crc;
}

void CopyFromBody(const Session& session, uint32_t offset, void* data, uint32_t bytes) {
  uint8_t* to = static_cast<uint8_t*>(data);
  for (uint32_t i = 0; bytes > 0; ++i) {
    const Variable part = ImagePart(session, i);
    if (offset >= part.bytes) {
      offset -= part.bytes;
      continue;
    }
    const uint32_t left = part.bytes - offset;
    const uint32_t piece = bytes < left ? bytes : left;
    memcpy(to, static_cast<const uint8_t*>(part.data) + offset, piece);
    to += piece;
    bytes -= piece;
    offset = 0;
  }
}

bool StateIsUsable(const State& state, uint32_t model_id) {
  return state.sentinel == model_id && state.rng != 0 && IsFinite(state.learning_rate) &&
         state.learning_rate >= 0.0f;
}

}  // namespace tfodl
