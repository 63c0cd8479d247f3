// cuBLASLt: loads, has a handle and a version; products are not simulated and say so.
#include <map>
#include <memory>
#include <mutex>

#include "runtime.h"

using namespace cudasim;

namespace {
std::mutex mutex;
std::map<void*, std::unique_ptr<int>> live;
constexpr int kNotSupportedHere = 15;
}  // namespace

#define API extern "C" CUDASIM_API int

API cublasLtCreate(void** handle) {
  std::lock_guard<std::mutex> lock(mutex);
  count_call("cublasLtCreate");
  if (handle == nullptr) return 7;
  if (device_status() != kSuccess) return 1;
  auto made = std::make_unique<int>(0);
  *handle = made.get();
  live.emplace(*handle, std::move(made));
  count_handle("cublaslt", 1);
  return 0;
}
API cublasLtDestroy(void* handle) {
  std::lock_guard<std::mutex> lock(mutex);
  count_call("cublasLtDestroy");
  if (live.erase(handle) == 0) return 1;
  count_handle("cublaslt", -1);
  return 0;
}
extern "C" CUDASIM_API size_t cublasLtGetVersion() { return CUDASIM_CUBLAS_VERSION; }
extern "C" CUDASIM_API size_t cublasLtGetCudartVersion() { return CUDASIM_CUDART_VERSION; }

#define NOT_SIMULATED(symbol)                           \
  API symbol() {                                        \
    count_call(#symbol);                                \
    complain("cuBLASLt: " #symbol " is not simulated"); \
    return kNotSupportedHere;                           \
  }
NOT_SIMULATED(cublasLtMatmulDescCreate)
NOT_SIMULATED(cublasLtMatmulDescSetAttribute)
NOT_SIMULATED(cublasLtMatmulDescDestroy)
NOT_SIMULATED(cublasLtMatrixLayoutCreate)
NOT_SIMULATED(cublasLtMatrixLayoutSetAttribute)
NOT_SIMULATED(cublasLtMatrixLayoutDestroy)
NOT_SIMULATED(cublasLtMatmulPreferenceCreate)
NOT_SIMULATED(cublasLtMatmulPreferenceSetAttribute)
NOT_SIMULATED(cublasLtMatmulPreferenceDestroy)
NOT_SIMULATED(cublasLtMatmulAlgoGetHeuristic)
NOT_SIMULATED(cublasLtMatmul)
