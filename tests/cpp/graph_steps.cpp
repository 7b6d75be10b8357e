// Trains every graph of a generated list for 1000 steps (tests/training_graphs.py) and prints a
// hash of all that the steps have written. The same numbers have to come out on every platform,
// whatever instructions it has.
#include <stdio.h>

#include "graph_list.h"
#include "graph_runner.h"

namespace tfodl {
namespace test {
namespace {

constexpr int kSteps = 1000;
constexpr int kStepsPerHash = 50;
constexpr size_t kMostBytes = 1u << 17;

bool Train(const GraphBytes& bytes, uint32_t seed) {
  Graph graph;
  Random random(seed);
  if (!graph.Read(bytes.data, bytes.size, kMostBytes) || graph.Prepare(&random) > 0) return false;
  Hash hash;
  for (int step = 1; step <= kSteps; ++step) {
    graph.NewSample(&random);
    for (int node = 0; node < graph.node_count(); ++node) {
      if (graph.Invoke(node) != kTfLiteOk) return false;
    }
    if (step % kStepsPerHash == 0) graph.AddTo(&hash);
  }
  const State* state = graph.state();
  printf("%s: hash %08x, %u trained, %u skipped, %u saturated\n", bytes.name,
         static_cast<unsigned>(hash.value()), static_cast<unsigned>(state->trained),
         static_cast<unsigned>(state->skipped), static_cast<unsigned>(state->saturated));
  return true;
}

int Run() {
  for (int i = 0; i < kGraphCount; ++i) {
    if (!Train(kGraphs[i], static_cast<uint32_t>(i + 1))) {
      printf("FAILED: %s\n", kGraphs[i].name);
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace test
}  // namespace tfodl

int main() { return tfodl::test::Run(); }
