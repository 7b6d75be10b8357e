// Appends the training ops to the op resolver of the tflite-micro wheel.
//
// The wheel calls a "registerer" with its PythonOpsResolver, which is a
// MicroMutableOpResolver<200>. AddCustom is inlined in the wheel, so the registrations are written
// into the resolver's table:
//
//   vptr | Registration[200] | unsigned length | ...
//
// Nothing is written before that layout has been confirmed by the wheel itself: FindOp must be one
// of the first virtual functions, every entry must look like a registration, and FindOp must return
// the address computed here for an op that is already registered. The appended op is looked up
// again; a wheel that does not agree is refused with a message.
#include <string.h>

#include "tfodl/ops/compat.h"
#include "tfodl/ops/register.h"
#include "wheel_abi.h"

namespace tfodl {
namespace bridge {
namespace {

constexpr unsigned kCapacity = 200;
constexpr int kAllOps = kOpCount + kBfloat16OpCount + kSeparateOpCount;
constexpr int32_t kBuiltinCustom = 32;
constexpr int32_t kLargestBuiltin = 1000;
constexpr int kVirtualFunctions = 4;  // destructors and the first FindOp come before the second

struct ResolverLayout {
  void** vtable;
  Registration registrations[kCapacity];
  unsigned length;
};

using FindOpFunction = const Registration* (*)(const void* resolver, const char* name);

constexpr const char* kFindOpNames[] = {
    "_ZNK6tflite5micro22MicroMutableOpResolverILj200EE6FindOpEPKc",
    "_ZNK6tflite22MicroMutableOpResolverILj200EE6FindOpEPKc",
};

bool Fail(const char* message) {
  SetLastError(message);
  return false;
}

void* FindOpSymbol() {
  for (const char* name : kFindOpNames) {
    void* symbol = RuntimeSymbol(name);
    if (symbol != nullptr) return symbol;
  }
  return nullptr;
}

bool IsVirtualFunction(const ResolverLayout& resolver, const void* function) {
  for (int slot = 0; slot < kVirtualFunctions; ++slot) {
    if (resolver.vtable[slot] == function) return true;
  }
  return false;
}

// Confirms the layout with an op that the wheel has registered itself.
bool IsLayoutConfirmed(const ResolverLayout& resolver, FindOpFunction find_op) {
  if (resolver.length == 0 || resolver.length > kCapacity - kAllOps) {
    return Fail("the wheel's op table has an implausible length");
  }
  const Registration* known = nullptr;
  for (unsigned i = 0; i < resolver.length; ++i) {
    const Registration& entry = resolver.registrations[i];
    if (entry.invoke == nullptr || entry.builtin_code < 0 || entry.builtin_code > kLargestBuiltin) {
      return Fail("the wheel's op table has an implausible entry");
    }
    if (known == nullptr && entry.builtin_code == kBuiltinCustom && entry.custom_name != nullptr) {
      known = &entry;
    }
  }
  if (known == nullptr || find_op(&resolver, known->custom_name) != known) {
    return Fail("the wheel's op table has another layout");
  }
  return true;
}

bool Append(ResolverLayout* resolver, FindOpFunction find_op, const char* name,
            const Registration& registration) {
  Registration* entry = &resolver->registrations[resolver->length];
  *entry = registration;
  entry->builtin_code = kBuiltinCustom;
  entry->custom_name = name;
  ++resolver->length;
  if (find_op(resolver, name) == entry) return true;
  --resolver->length;
  return Fail("the wheel does not find an op that was added");
}

bool AppendAll(void* object) {
  if (!IsRuntimeBound()) return Fail("the bridge has not been bound to the wheel");
  void* symbol = FindOpSymbol();
  if (symbol == nullptr) return Fail("the wheel does not export FindOp");
  ResolverLayout* resolver = static_cast<ResolverLayout*>(object);
  if (!IsVirtualFunction(*resolver, symbol)) return Fail("the wheel's resolver has another layout");
  const FindOpFunction find_op = reinterpret_cast<FindOpFunction>(symbol);
  if (!IsLayoutConfirmed(*resolver, find_op)) return false;
  for (int op = 0; op < kOpCount; ++op) {
    if (!Append(resolver, find_op, OpName(op), OpRegistration(op))) return false;
  }
  for (int op = 0; op < kBfloat16OpCount; ++op) {
    if (!Append(resolver, find_op, Bfloat16OpName(op), Bfloat16OpRegistration(op))) return false;
  }
  for (int op = 0; op < kSeparateOpCount; ++op) {
    if (!Append(resolver, find_op, SeparateOpName(op), SeparateOpRegistration(op))) return false;
  }
  return true;
}

}  // namespace
}  // namespace bridge
}  // namespace tfodl

// Looked up by name by the wheel's interpreter.
extern "C" bool TfOdlRegisterOps(void* resolver) { return tfodl::bridge::AppendAll(resolver); }
