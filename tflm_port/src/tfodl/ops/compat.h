// The one place that knows which TensorFlow Lite Micro the ops are compiled against:
//
//   Chirale_TensorFLowLite 2.0.0    TfLiteRegistration, accessors in namespace tflite
//   current TFLM                    TFLMRegistration, accessors in tflite or tflite::micro
//   none (TFODL_HOST_BRIDGE)        declarations that mirror the binary layout of the pinned
//                                   tflite-micro wheel; bridge/ supplies the accessors
//   none (an Arduino sketch         the same declarations; nothing uses the ops, and the linker
//   without TFLM)                   leaves them out
//
// The choice is explicit: in any other case missing TFLM headers are a compile error.
#ifndef TFODL_OPS_COMPAT_H_
#define TFODL_OPS_COMPAT_H_

#include <stddef.h>
#include <stdint.h>

#include "tfodl/ops/has_tflm.h"

#if !TFODL_HAS_TFLM

namespace tfodl {

enum TfLiteStatus : int { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType : int {
  kTfLiteFloat32 = 1,
  kTfLiteInt32 = 2,
  kTfLiteInt16 = 7,
  kTfLiteInt8 = 9
};

struct TfLiteContext;  // opaque: only its address is handed on

// Followed in memory by `size` ints.
struct TfLiteIntArray {
  int size;
  int data[1];
};

struct TfLiteEvalTensor {
  union {
    void* data;
  } data;
  TfLiteIntArray* dims;
  TfLiteType type;
};

// As with TF_LITE_STATIC_MEMORY. In other builds another array comes before user_data; there the
// magic word of OpData is not found and the model is refused.
struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  void* user_data;
};

struct Registration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  void (*reset)(TfLiteContext* context, void* buffer);
  int32_t builtin_code;
  const char* custom_name;
};

#if defined(TFODL_HOST_BRIDGE)
// Defined in bridge/.
TfLiteEvalTensor* EvalTensor(const TfLiteContext* context, int index);
void* AllocatePersistent(TfLiteContext* context, size_t bytes);
void Log(const char* op, const char* reason);
#else
inline TfLiteEvalTensor* EvalTensor(const TfLiteContext*, int) { return nullptr; }
inline void* AllocatePersistent(TfLiteContext*, size_t) { return nullptr; }
inline void Log(const char*, const char*) {}
#endif

}  // namespace tfodl

#else  // !TFODL_HAS_TFLM

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/micro/micro_log.h"
#if __has_include("tensorflow/lite/micro/micro_common.h")
#include "tensorflow/lite/micro/micro_common.h"
#define TFODL_REGISTRATION TFLMRegistration
#else
#define TFODL_REGISTRATION TfLiteRegistration
#endif

namespace tflite {
namespace micro {}
}  // namespace tflite

namespace tfodl {

// Which of the two namespaces holds a name depends on the version.
using namespace tflite;
using namespace tflite::micro;

using Registration = TFODL_REGISTRATION;

inline TfLiteEvalTensor* EvalTensor(const TfLiteContext* context, int index) {
  return MicroContextGetEvalTensor(context, index);
}

inline void* AllocatePersistent(TfLiteContext* context, size_t bytes) {
  return MicroContextAllocatePersistentBuffer(context, bytes);
}

inline void Log(const char* op, const char* reason) { MicroPrintf("%s: %s", op, reason); }

}  // namespace tfodl

#endif  // !TFODL_HAS_TFLM

#endif  // TFODL_OPS_COMPAT_H_
