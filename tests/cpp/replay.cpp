// Runs a libFuzzer target on files, for compilers without libFuzzer.
#include <stdint.h>
#include <stdio.h>

#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    FILE* file = fopen(argv[i], "rb");
    if (file == nullptr) return 2;
    std::vector<uint8_t> bytes;
    for (int byte = fgetc(file); byte != EOF; byte = fgetc(file)) {
      bytes.push_back(static_cast<uint8_t>(byte));
    }
    fclose(file);
    bytes.shrink_to_fit();
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  return 0;
}
