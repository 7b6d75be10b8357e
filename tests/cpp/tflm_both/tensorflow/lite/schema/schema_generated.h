// Stand-in for both generations, see their c/common.h: what is read of a model's flatbuffer.
#ifndef TFODL_TESTS_SCHEMA_GENERATED_H_
#define TFODL_TESTS_SCHEMA_GENERATED_H_

#include <stdint.h>

namespace flatbuffers {

struct String {
  const char* c_str() const;
};

template <class T>
struct Vector {
  T Get(uint32_t index) const;
  uint32_t size() const;
  const uint8_t* data() const;
  const T* begin() const;
  const T* end() const;
};

}  // namespace flatbuffers

namespace tflite {

struct Operator {
  uint32_t opcode_index() const;
  const flatbuffers::Vector<int32_t>* inputs() const;
  const flatbuffers::Vector<uint8_t>* custom_options() const;
};

struct OperatorCode {
  const flatbuffers::String* custom_code() const;
};

struct SubGraph {
  const flatbuffers::Vector<int32_t>* outputs() const;
  const flatbuffers::Vector<const Operator*>* operators() const;
};

struct Model {
  uint32_t version() const;
  const flatbuffers::Vector<const SubGraph*>* subgraphs() const;
  const flatbuffers::Vector<const OperatorCode*>* operator_codes() const;
};

const Model* GetModel(const void* data);

}  // namespace tflite

#endif  // TFODL_TESTS_SCHEMA_GENERATED_H_
