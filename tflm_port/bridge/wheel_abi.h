// What the bridge knows about the shared library of the tflite-micro wheel.
#ifndef TFODL_BRIDGE_WHEEL_ABI_H_
#define TFODL_BRIDGE_WHEEL_ABI_H_

namespace tfodl {
namespace bridge {

// Finds the context accessors in the library. Returns false, with an error message, when the wheel
// is not one the bridge knows.
bool BindRuntime(void* runtime_handle);

bool IsRuntimeBound();

// dlsym in the bound library; null when it does not export the name.
void* RuntimeSymbol(const char* name);

// The message of the last failure, never null.
const char* LastError();
void SetLastError(const char* message);

}  // namespace bridge
}  // namespace tfodl

#endif  // TFODL_BRIDGE_WHEEL_ABI_H_
