// The accessors that tfodl/ops/compat.h asks for, taken from the wheel's own exports.
//
// The layout of TfLiteContext changed between versions of TFLM; the ops only pass its address to
// functions of the wheel. The namespace of those functions changed too, so both names are tried.
#include "wheel_abi.h"

#include <dlfcn.h>
#include <stdio.h>

#include "tfodl/ops/compat.h"

namespace tfodl {
namespace {

using GetEvalTensorFunction = TfLiteEvalTensor* (*)(const TfLiteContext*, int);
using AllocateFunction = void* (*)(TfLiteContext*, size_t);

struct AccessorNames {
  const char* get_eval_tensor;
  const char* allocate;
};

constexpr AccessorNames kAccessorNames[] = {
    {"_ZN6tflite5micro25MicroContextGetEvalTensorEPKNS0_13TfLiteContextEi",
     "_ZN6tflite5micro36MicroContextAllocatePersistentBufferEPNS0_13TfLiteContextEm"},
    {"_ZN6tflite25MicroContextGetEvalTensorEPK13TfLiteContexti",
     "_ZN6tflite36MicroContextAllocatePersistentBufferEP13TfLiteContextm"},
};

void* g_runtime = nullptr;
GetEvalTensorFunction g_get_eval_tensor = nullptr;
AllocateFunction g_allocate = nullptr;
char g_last_error[256] = "";

}  // namespace

TfLiteEvalTensor* EvalTensor(const TfLiteContext* context, int index) {
  return g_get_eval_tensor(context, index);
}

void* AllocatePersistent(TfLiteContext* context, size_t bytes) {
  return g_allocate(context, bytes);
}

void Log(const char* op, const char* reason) {
  snprintf(g_last_error, sizeof g_last_error, "%s: %s", op, reason);
}

namespace bridge {

bool BindRuntime(void* runtime_handle) {
  g_runtime = runtime_handle;
  g_get_eval_tensor = nullptr;
  g_allocate = nullptr;
  for (const AccessorNames& names : kAccessorNames) {
    void* get_eval_tensor = RuntimeSymbol(names.get_eval_tensor);
    void* allocate = RuntimeSymbol(names.allocate);
    if (get_eval_tensor != nullptr && allocate != nullptr) {
      g_get_eval_tensor = reinterpret_cast<GetEvalTensorFunction>(get_eval_tensor);
      g_allocate = reinterpret_cast<AllocateFunction>(allocate);
      return true;
    }
  }
  SetLastError("the wheel does not export the accessors of its context");
  return false;
}

bool IsRuntimeBound() { return g_get_eval_tensor != nullptr; }

void* RuntimeSymbol(const char* name) {
  return g_runtime == nullptr ? nullptr : dlsym(g_runtime, name);
}

const char* LastError() { return g_last_error; }

void SetLastError(const char* message) {
  snprintf(g_last_error, sizeof g_last_error, "%s", message);
}

}  // namespace bridge
}  // namespace tfodl
