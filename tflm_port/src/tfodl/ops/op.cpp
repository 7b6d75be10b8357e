#include "tfodl/ops/op.h"

#include <string.h>

#include "tfodl/options.h"
#include "tfodl/state.h"

namespace tfodl {
namespace {

constexpr uint32_t kOpDataMagic = 0x4c444f54;  // "TODL"

int Size(const TfLiteIntArray* array) { return array == nullptr ? 0 : array->size; }

TfLiteEvalTensor* At(const TfLiteContext* context, const TfLiteIntArray* indices, int position) {
  if (position >= Size(indices) || indices->data[position] < 0) return nullptr;
  return EvalTensor(context, indices->data[position]);
}

void* MemoryAt(const TfLiteContext* context, const TfLiteIntArray* indices, int position) {
  const TfLiteEvalTensor* const tensor = At(context, indices, position);
  return tensor == nullptr ? nullptr : tensor->data.data;
}

}  // namespace

OpData MakeOpData(const char* buffer, size_t length) {
  return OpData{kOpDataMagic, static_cast<uint32_t>(length),
                reinterpret_cast<const uint8_t*>(buffer)};
}

void* InitOpData(TfLiteContext* context, const char* buffer, size_t length) {
  OpData* data = static_cast<OpData*>(AllocatePersistent(context, sizeof(OpData)));
  if (data != nullptr) *data = MakeOpData(buffer, length);
  return data;
}

const OpData* GetOpData(const TfLiteNode* node) {
  const OpData* data = static_cast<const OpData*>(node->user_data);
  return data != nullptr && data->magic == kOpDataMagic ? data : nullptr;
}

bool HasVersionOnly(const OpData* data) {
  uint32_t version = 0;
  if (data == nullptr || data->length != sizeof version) return false;
  memcpy(&version, data->options, sizeof version);
  return version == kAbiVersion;
}

TfLiteStatus Refuse(const char* op, const char* reason) {
  Log(op, reason);
  return kTfLiteError;
}

int InputCount(const TfLiteNode* node) { return Size(node->inputs); }

int OutputCount(const TfLiteNode* node) { return Size(node->outputs); }

TfLiteEvalTensor* Input(const TfLiteContext* context, const TfLiteNode* node, int position) {
  return At(context, node->inputs, position);
}

TfLiteEvalTensor* Output(const TfLiteContext* context, const TfLiteNode* node, int position) {
  return At(context, node->outputs, position);
}

void* InputMemory(const TfLiteContext* context, const TfLiteNode* node, int position) {
  return MemoryAt(context, node->inputs, position);
}

void* OutputMemory(const TfLiteContext* context, const TfLiteNode* node, int position) {
  return MemoryAt(context, node->outputs, position);
}

uint32_t ElementCount(const TfLiteEvalTensor* tensor) {
  if (tensor == nullptr || tensor->dims == nullptr) return 0;
  uint64_t elements = 1;
  for (int i = 0; i < tensor->dims->size; ++i) {
    if (tensor->dims->data[i] <= 0) return 0;
    elements *= static_cast<uint32_t>(tensor->dims->data[i]);
    if (elements > kMaxElements) return 0;
  }
  return static_cast<uint32_t>(elements);
}

bool IsTensor(const TfLiteEvalTensor* tensor, TfLiteType type, uint32_t elements) {
  return tensor != nullptr && tensor->type == type && elements > 0 &&
         ElementCount(tensor) == elements;
}

bool IsWritable(const TfLiteEvalTensor* tensor, TfLiteType type, uint32_t elements) {
  return IsTensor(tensor, type, elements) && tensor->data.data == nullptr;
}

bool IsState(const TfLiteEvalTensor* tensor, uint32_t layers) {
  const uint32_t words = ElementCount(tensor);
  return words >= kStateWords + layers && IsWritable(tensor, kTfLiteInt32, words);
}

}  // namespace tfodl
