// Loads PTX files the way the driver would and prints what it says about them: ptx_check FOLDER FILE...
#include <fstream>
#include <sstream>

#include "harness.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::printf("usage: ptx_check FOLDER FILE...\nFOLDER holds libcuda.so.1\n");
    return 2;
  }
  harness::folder = argv[1];
  setenv("CUDASIM_QUIET", "1", 1);
  void* cuda = harness::open_library("libcuda.so.1");
  auto init = reinterpret_cast<int (*)(unsigned)>(harness::symbol(cuda, "cuInit"));
  auto retain = reinterpret_cast<int (*)(void**, int)>(harness::symbol(cuda, "cuDevicePrimaryCtxRetain"));
  auto set_current = reinterpret_cast<int (*)(void*)>(harness::symbol(cuda, "cuCtxSetCurrent"));
  auto load = reinterpret_cast<int (*)(void**, const void*, unsigned, int*, void**)>(
      harness::symbol(cuda, "cuModuleLoadDataEx"));
  void* context = nullptr;
  if (init(0) != 0 || retain(&context, 0) != 0 || set_current(context) != 0) return 2;
  int bad = 0;
  for (int i = 2; i < argc; ++i) {
    std::ifstream file(argv[i]);
    std::stringstream text;
    text << file.rdbuf();
    char log[4096] = "";
    int options[] = {5, 6};
    void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
    void* module = nullptr;
    int status = file ? load(&module, text.str().c_str(), 2, options, values) : -1;
    if (status != 0) {
      ++bad;
      std::printf("%s: %s\n", argv[i], status < 0 ? "cannot be read" : log);
    }
  }
  std::printf("%d files, %d refused\n", argc - 2, bad);
  return bad == 0 ? 0 : 1;
}
