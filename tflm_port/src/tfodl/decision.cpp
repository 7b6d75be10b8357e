#include "tfodl/decision.h"

#include "tfodl/float_math.h"
#include "tfodl/float_contract.h"

namespace tfodl {

void Decide(const SkipSettings& settings, float loss, float alpha, State* state, Report* report) {
  DecideNow(settings, loss, alpha, IsFinite(loss) && IsFinite(alpha), state, report);
}

}  // namespace tfodl
