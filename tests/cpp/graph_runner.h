// The training ops of a graph, prepared and invoked as TensorFlow Lite Micro would, without it. The
// forward ops are left out: activations are random numbers. Needs no C++ library.
//
// A graph is a string of bytes (tests/graph_bytes.py writes them), little-endian:
//
//   u16 tensors, u16 nodes
//   per tensor:  u8 type (0 float32, 1 int32, 2 int8), u8 1 when constant, u8 rank, i16 dims[rank]
//   per node:    u8 hash of the op's name, u16 length, options[length], u8 inputs, u8 outputs,
//                i16 tensors[...]
//
// What is missing at the end reads as zero.
#ifndef TFODL_TESTS_GRAPH_RUNNER_H_
#define TFODL_TESTS_GRAPH_RUNNER_H_

#include <stddef.h>
#include <stdint.h>

#include "random_numbers.h"
#include "tfodl/ops/register.h"
#include "tfodl/state.h"

namespace tfodl {
namespace test {

// FNV-1a.
class Hash {
 public:
  void Add(const void* data, size_t bytes) {
    const uint8_t* byte = static_cast<const uint8_t*>(data);
    for (size_t i = 0; i < bytes; ++i) value_ = (value_ ^ byte[i]) * 16777619u;
  }
  uint32_t value() const { return value_; }

 private:
  uint32_t value_ = 2166136261u;
};

class Graph {
 public:
  static constexpr int kMostTensors = 512;
  static constexpr int kMostNodes = 256;

  Graph();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // False when its tensors take more than `most_bytes`, or there are too many of anything.
  bool Read(const uint8_t* bytes, size_t size, size_t most_bytes);

  // Init and Prepare of every node, then memory for all that is no constant: zero for variables, as
  // in TFLM. A node that was refused is left out from then on. Returns how many were.
  int Prepare(Random* random);

  // Random numbers in all that no node writes and that is no variable, a label that fits.
  void NewSample(Random* random);

  // Multiplications and the like that a node would take at most.
  uint64_t Work(int node) const;
  bool IsPrepared(int node) const { return nodes_[node].prepared; }
  bool IsSeed(int node) const;
  TfLiteStatus Invoke(int node);

  int node_count() const { return node_count_; }
  // Null when no node has a state that was accepted.
  State* state();
  int32_t* label();
  // Of all weights and biases; of all tensors that are no constants.
  uint32_t HashOfVariables() const;
  void AddTo(Hash* hash) const;
  // Any bit pattern in all float tensors, any learning rate and maxima.
  void Disturb(Random* random);

 private:
  enum Role { kActivation, kConstant, kVariable, kState, kLabel, kResult };
  struct Node {
    int op;
    char* options_memory;
    char* options;
    uint32_t length;
    TfLiteIntArray* inputs;
    TfLiteIntArray* outputs;
    TfLiteNode node;
    bool prepared;
  };

  void FindRoles();
  void SetRole(const TfLiteIntArray* tensors, int position, Role role);
  size_t Bytes(int tensor) const;

  TfLiteContext* context_;
  int tensor_count_ = 0;
  int node_count_ = 0;
  int state_ = -1;
  int label_ = -1;
  int32_t classes_ = 1;
  Role roles_[kMostTensors];
  bool constant_[kMostTensors];
  Node nodes_[kMostNodes];
};

}  // namespace test
}  // namespace tfodl

#endif  // TFODL_TESTS_GRAPH_RUNNER_H_
