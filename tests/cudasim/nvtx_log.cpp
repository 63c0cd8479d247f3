// An injection library as a profiler's: named in NVTX_INJECTION64_PATH, it writes the ranges that the program opens and closes to the
// file named in NVTX_LOG. Written from the protocol of NVTX 3.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

std::FILE* file = nullptr;

int push(const char* name) {
  std::fprintf(file, "push %s\n", name);
  return std::fflush(file);
}

int pop() {
  std::fputs("pop\n", file);
  return std::fflush(file);
}

struct Callbacks {
  size_t size;
  int (*module_function_table)(int module, void**** table, unsigned* count);
};

}  // namespace

extern "C" __attribute__((visibility("default"))) int InitializeInjectionNvtx2(const void* (*export_table)(uint32_t)) {
  constexpr uint32_t kCallbacks = 1;
  constexpr int kCore = 1;
  constexpr unsigned kPush = 9;
  constexpr unsigned kPop = 11;
  const char* path = std::getenv("NVTX_LOG");
  const auto* callbacks = static_cast<const Callbacks*>(export_table(kCallbacks));
  void*** table = nullptr;
  unsigned count = 0;
  if (path == nullptr || callbacks == nullptr || callbacks->size < sizeof(Callbacks) ||
      callbacks->module_function_table(kCore, &table, &count) != 1 || count <= kPop) {
    return 0;
  }
  file = std::fopen(path, "w");
  if (file == nullptr) return 0;
  *table[kPush] = reinterpret_cast<void*>(&push);
  *table[kPop] = reinterpret_cast<void*>(&pop);
  return 1;
}
