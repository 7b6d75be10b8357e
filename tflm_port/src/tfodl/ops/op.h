// What the glue of the single ops shares: the definition of an op, its options blob, and checked
// access to its tensors.
#ifndef TFODL_OPS_OP_H_
#define TFODL_OPS_OP_H_

#include <stdint.h>

#include "tfodl/kernels/error_type.h"
#include "tfodl/ops/compat.h"

namespace tfodl {

struct OpDefinition {
  const char* name;
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
};

// The user data of every op: its options stay in the model (flash on a board).
struct OpData {
  uint32_t magic;
  uint32_t length;
  const uint8_t* options;
};

OpData MakeOpData(const char* buffer, size_t length);

// `init` of the ops that need nothing but their options.
void* InitOpData(TfLiteContext* context, const char* buffer, size_t length);

// The OpData of a node; null when there is none.
const OpData* GetOpData(const TfLiteNode* node);

// The options are those of an op that has none, the version alone.
bool HasVersionOnly(const OpData* data);

// Logs why a model is refused.
TfLiteStatus Refuse(const char* op, const char* reason);

int InputCount(const TfLiteNode* node);
int OutputCount(const TfLiteNode* node);

// Null when the tensor is absent.
TfLiteEvalTensor* Input(const TfLiteContext* context, const TfLiteNode* node, int position);
TfLiteEvalTensor* Output(const TfLiteContext* context, const TfLiteNode* node, int position);

// The type of tensors with errors; TensorFlow Lite Micro has no bfloat16.
template <class Error>
constexpr TfLiteType TypeOfErrors();
template <>
constexpr TfLiteType TypeOfErrors<float>() {
  return kTfLiteFloat32;
}
template <>
constexpr TfLiteType TypeOfErrors<Bfloat16>() {
  return kTfLiteInt16;
}

// That of the op whose errors are of this type.
template <class Error>
constexpr const char* NameOf(const char* of_float, const char* of_bfloat16) {
  return sizeof(Error) == sizeof(float) ? of_float : of_bfloat16;
}

// Elements of a tensor; 0 when it is null or its shape is not usable.
uint32_t ElementCount(const TfLiteEvalTensor* tensor);

// The tensor exists, with this type and number of elements.
bool IsTensor(const TfLiteEvalTensor* tensor, TfLiteType type, uint32_t elements);

// As IsTensor, and its memory is not a constant of the model. Constants have their address while
// the model is being prepared; variables and activations get theirs afterwards.
bool IsWritable(const TfLiteEvalTensor* tensor, TfLiteType type, uint32_t elements);

// The state, with running maxima of so many layers.
bool IsState(const TfLiteEvalTensor* tensor, uint32_t layers = 0);

// Data of a tensor, null when the tensor is absent.
void* InputMemory(const TfLiteContext* context, const TfLiteNode* node, int position);
void* OutputMemory(const TfLiteContext* context, const TfLiteNode* node, int position);

template <class T>
T* InputData(const TfLiteContext* context, const TfLiteNode* node, int position) {
  return static_cast<T*>(InputMemory(context, node, position));
}

template <class T>
T* OutputData(const TfLiteContext* context, const TfLiteNode* node, int position) {
  return static_cast<T*>(OutputMemory(context, node, position));
}

// Of a tensor that is there.
template <class T>
T* Data(const TfLiteEvalTensor* tensor) {
  return static_cast<T*>(tensor->data.data);
}

}  // namespace tfodl

#endif  // TFODL_OPS_OP_H_
