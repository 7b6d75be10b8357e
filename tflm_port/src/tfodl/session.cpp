#include "tfodl/session.h"

namespace tfodl {
namespace {

Session g_session = {nullptr, 0, nullptr, 0};

}  // namespace

const Session& CurrentSession() { return g_session; }

void PublishSession(const Session& session) { g_session = session; }

}  // namespace tfodl
