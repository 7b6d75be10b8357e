// Any bytes as a training graph (graph_runner.h): options, shapes, types and constants that do not
// fit have to be refused by Prepare, and what it accepts has to run, whatever errors, labels and
// learning rates it meets. A libFuzzer target; replay.cpp runs it on files.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph_runner.h"

// Of <sanitizer/allocator_interface.h>, which GCC's sanitizers come without.
extern "C" int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void*, size_t), void (*on_free)(const volatile void*));

namespace tfodl {
namespace test {
namespace {

constexpr size_t kMostBytes = 1u << 17;
constexpr uint64_t kMostWork = 1u << 20;

bool g_invoking = false;
bool g_heap_used = false;

[[noreturn]] void Fail(const char* what) {
  fprintf(stderr, "FAILED: %s\n", what);
  abort();
}

// A sketch must not fail hours after its start because the heap is fragmented.
void OnMalloc(const volatile void*, size_t) { g_heap_used |= g_invoking; }

void OnFree(const volatile void*) { g_heap_used |= g_invoking; }

// To show that the checks see what they are for: a fault as one of the ops might have it.
enum Fault { kNone, kHeap, kOverread, kUnaligned };

void Commit(Fault fault) {
  static char words[8];
  static void* volatile block;
  const volatile size_t behind = sizeof words;
  if (fault == kHeap) {
    block = malloc(1);
    free(block);
  }
  if (fault == kOverread) words[0] = words[behind];
  if (fault == kUnaligned) *reinterpret_cast<volatile int32_t*>(words + 1) = 1;
}

Fault FaultOfEnvironment() {
  const char* name = getenv("TFODL_FAULT");
  if (name == nullptr) return kNone;
  return strcmp(name, "heap") == 0 ? kHeap : strcmp(name, "overread") == 0 ? kOverread : kUnaligned;
}

void Step(Graph* graph, Fault fault) {
  State* state = graph->state();
  for (int node = 0; node < graph->node_count(); ++node) {
    if (!graph->IsPrepared(node) || graph->Work(node) > kMostWork) continue;
    const uint32_t before = graph->HashOfVariables();
    const uint32_t abandoned = state == nullptr ? 0 : state->non_finite;
    g_invoking = true;
    Commit(fault);
    graph->Invoke(node);
    g_invoking = false;
    if (g_heap_used) Fail("the heap is used after set-up");
    if (state == nullptr || graph->IsSeed(node)) continue;
    if (state->non_finite != abandoned && graph->HashOfVariables() != before) {
      Fail("an error that is not finite moved a weight");
    }
  }
}

void Run(const uint8_t* data, size_t size, Fault fault) {
  uint32_t seed = 0;
  if (size < sizeof seed) return;
  memcpy(&seed, data, sizeof seed);
  Random random(seed);
  Graph graph;
  if (!graph.Read(data + sizeof seed, size - sizeof seed, kMostBytes)) return;
  graph.Prepare(&random);
  graph.NewSample(&random);
  Step(&graph, fault);
  graph.NewSample(&random);
  graph.Disturb(&random);
  if (graph.label() != nullptr) *graph.label() = random.Int(-2, 12);
  Step(&graph, fault);
}

}  // namespace
}  // namespace test
}  // namespace tfodl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(
      tfodl::test::OnMalloc, tfodl::test::OnFree);
  static const tfodl::test::Fault fault = tfodl::test::FaultOfEnvironment();
  if (installed == 0) abort();
  tfodl::test::Run(data, size, fault);
  return 0;
}
