// cuBLAS: matrix products in column order, float32 and bfloat16 with float32 accumulation.
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "ptx_float.h"
#include "runtime.h"

using namespace cudasim;

namespace {

enum Status_ {
  kOk = 0,
  kNotInit = 1,
  kAllocFailed = 3,
  kBadValue = 7,
  kArchMismatch = 8,
  kExecutionFailed = 13,
  kInternal = 14,
  kUnsupported = 15
};
enum DataType { kF32 = 0, kF16 = 2, kBF16 = 14 };

struct Library {
  StreamHandle stream = nullptr;
  int math_mode = 0;
  int pointer_mode = 0;
  int atomics_mode = 0;
  int sm_target = 0;
  DevicePointer workspace = 0;  // 0: the library's own
  size_t workspace_bytes = 0;
  DevicePointer own = 0;
};

std::mutex mutex;
std::map<void*, std::unique_ptr<Library>> live;

int refuse(int status, const std::string& message) {
  complain("cuBLAS: " + message);
  return status;
}

Library* find(void* handle) {
  auto found = live.find(handle);
  return found == live.end() ? nullptr : found->second.get();
}

size_t size_of(int type) { return type == kF32 ? 4 : 2; }

float element(const void* data, int64_t index, int type) {
  if (type == kF32) return static_cast<const float*>(data)[index];
  uint16_t bits = static_cast<const uint16_t*>(data)[index];
  return type == kBF16 ? ptx::widen_bfloat(bits) : ptx::widen_half(bits);
}
void set_element(void* data, int64_t index, int type, float value) {
  if (type == kF32) {
    static_cast<float*>(data)[index] = value;
  } else {
    static_cast<uint16_t*>(data)[index] = type == kBF16 ? ptx::narrow_bfloat(value) : ptx::narrow_half(value);
  }
}

struct Product {
  int op_a, op_b;
  int64_t m, n, k;
  float alpha, beta;
  DevicePointer a, b, c;
  int a_type, b_type, c_type;
  int64_t lda, ldb, ldc;
  int64_t stride_a, stride_b, stride_c;
  int64_t batch;
  DevicePointer workspace;
  size_t workspace_bytes;
  bool tf32;
};

// A column-major matrix of `columns` columns of `rows` values, as float; only what the product names is touched.
std::vector<float> gather(DevicePointer base, int64_t rows, int64_t columns, int64_t ld, int type, bool tf32,
                          const char* what) {
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (int64_t j = 0; j < columns; ++j) {
    const void* column = device_read(base + static_cast<uint64_t>(j * ld) * size_of(type),
                                     static_cast<size_t>(rows) * size_of(type), what);
    for (int64_t i = 0; i < rows; ++i) values[static_cast<size_t>(j * rows + i)] = element(column, i, type);
  }
  if (tf32) {
    for (float& v : values) v = ptx::round_tf32(v);
  }
  return values;
}

void multiply(const Product& p) {
  if (p.workspace != 0) device_range(p.workspace, p.workspace_bytes, "cuBLAS workspace");
  device_undefine(p.workspace, p.workspace_bytes);
  for (int64_t batch = 0; batch < p.batch; ++batch) {
    DevicePointer a_base = p.a + static_cast<uint64_t>(batch * p.stride_a) * size_of(p.a_type);
    DevicePointer b_base = p.b + static_cast<uint64_t>(batch * p.stride_b) * size_of(p.b_type);
    DevicePointer c_base = p.c + static_cast<uint64_t>(batch * p.stride_c) * size_of(p.c_type);
    int64_t a_rows = p.op_a == 0 ? p.m : p.k;
    int64_t b_rows = p.op_b == 0 ? p.k : p.n;
    std::vector<float> a, b;
    if (p.alpha != 0 && p.k > 0) {
      a = gather(a_base, a_rows, p.op_a == 0 ? p.k : p.m, p.lda, p.a_type, p.tf32, "cuBLAS A");
      b = gather(b_base, b_rows, p.op_b == 0 ? p.n : p.k, p.ldb, p.b_type, p.tf32, "cuBLAS B");
    }
    std::vector<std::vector<float>> result(static_cast<size_t>(p.n));
#pragma omp parallel for
    for (int64_t j = 0; j < p.n; ++j) {
      std::vector<float> column(static_cast<size_t>(p.m), 0.0f);
      for (int64_t l = 0; l < p.k && !a.empty(); ++l) {
        float factor = b[static_cast<size_t>(p.op_b == 0 ? j * b_rows + l : l * b_rows + j)];
        for (int64_t i = 0; i < p.m; ++i)
          column[static_cast<size_t>(i)] +=
              a[static_cast<size_t>(p.op_a == 0 ? l * a_rows + i : i * a_rows + l)] * factor;
      }
      result[static_cast<size_t>(j)] = std::move(column);
    }
    for (int64_t j = 0; j < p.n; ++j) {
      DevicePointer address = c_base + static_cast<uint64_t>(j * p.ldc) * size_of(p.c_type);
      size_t bytes = static_cast<size_t>(p.m) * size_of(p.c_type);
      if (p.beta != 0) device_read(address, bytes, "cuBLAS C");
      void* c = device_write(address, bytes, "cuBLAS C");
      for (int64_t i = 0; i < p.m; ++i) {
        float v = p.alpha * result[static_cast<size_t>(j)][static_cast<size_t>(i)];
        if (p.beta != 0) v += p.beta * element(c, i, p.c_type);
        set_element(c, i, p.c_type, v);
      }
    }
  }
  device_undefine(p.workspace, p.workspace_bytes);
}

int gemm(const char* name, void* handle, Product p, const void* alpha, const void* beta, int compute, int algo) {
  std::lock_guard<std::mutex> lock(mutex);
  count_call(name);
  Library* l = find(handle);
  if (l == nullptr) return refuse(kNotInit, std::string(name) + " with a handle that does not exist");
  auto bad = [&](const std::string& text) { return refuse(kBadValue, std::string(name) + ": " + text); };
  if (p.op_a < 0 || p.op_a > 2 || p.op_b < 0 || p.op_b > 2) return bad("an operation is N (0), T (1) or C (2)");
  if (p.m < 0 || p.n < 0 || p.k < 0 || p.batch < 0) return bad("a negative extent");
  if (p.lda < std::max<int64_t>(1, p.op_a == 0 ? p.m : p.k)) return bad("lda is too small");
  if (p.ldb < std::max<int64_t>(1, p.op_b == 0 ? p.k : p.n)) return bad("ldb is too small");
  if (p.ldc < std::max<int64_t>(1, p.m)) return bad("ldc is too small");
  if (alpha == nullptr || beta == nullptr) return bad("alpha or beta is null");
  bool known_algo =
      algo == -1 || algo == 99 || algo == 999 || (algo >= 0 && algo <= 23) || (algo >= 100 && algo <= 115);
  if (!known_algo) return bad("unknown algorithm " + std::to_string(algo));
  static const std::set<int> computes = {68, 69, 74, 75, 77};
  if (computes.count(compute) == 0)
    return refuse(kUnsupported, std::string(name) + ": compute type " + std::to_string(compute) + " is not simulated");
  bool same = p.a_type == p.b_type && (p.a_type == kF32 || p.a_type == kBF16 || p.a_type == kF16);
  if (!same || (p.c_type != kF32 && p.c_type != p.a_type) || (p.a_type != kF32 && compute > 69)) {
    return refuse(kUnsupported, std::string(name) + ": this combination of types does not exist");
  }
  for (auto operand : {std::make_pair(p.a, p.a_type), std::make_pair(p.b, p.b_type), std::make_pair(p.c, p.c_type)}) {
    if (p.m > 0 && p.n > 0 && (operand.first == 0 || operand.first % size_of(operand.second) != 0))
      return bad("an operand is null or not aligned");
  }
  if (l->pointer_mode == 1) return refuse(kUnsupported, "alpha and beta in device memory are not simulated");
  if (device_status() != kSuccess) return kExecutionFailed;
  if (stream_capturing(l->stream) && l->workspace == 0) {
    // The real library records allocations of its own here; a step that promises none must set a workspace.
    complain("cuBLAS: recorded without a workspace of the caller: the graph would allocate");
    count_call("cublas hidden graph allocation");
  }
  std::memcpy(&p.alpha, alpha, 4);
  std::memcpy(&p.beta, beta, 4);
  p.workspace = l->workspace;
  p.workspace_bytes = l->workspace_bytes;
  p.tf32 = p.a_type == kF32 && ptx::tf32_allowed() && (compute == 77 || (compute == 68 && (l->math_mode & ~16) == 3));
  if (p.m == 0 || p.n == 0 || p.batch == 0) return kOk;
  ::cudasim::Status status = submit(l->stream, NodeKind::Kernel, name, [p] { multiply(p); });
  return status == kSuccess
             ? kOk
             : refuse(kExecutionFailed, std::string(name) + ": the driver answers " + std::to_string(status));
}

DevicePointer address(const void* p) { return reinterpret_cast<DevicePointer>(p); }

}  // namespace

#define API extern "C" CUDASIM_API int
#define ENTER(symbol)                      \
  std::lock_guard<std::mutex> lock(mutex); \
  count_call(symbol)
#define FIND(l, handle)      \
  Library* l = find(handle); \
  if (l == nullptr) return refuse(kNotInit, "a handle that does not exist")

API cublasCreate_v2(void** handle) {
  ENTER("cublasCreate_v2");
  if (handle == nullptr) return kBadValue;
  ::cudasim::Status status = device_status();
  if (status != kSuccess) return refuse(kNotInit, "the driver answers " + std::to_string(status));
  auto library = std::make_unique<Library>();
  status = library_allocate(&library->own, 4 << 20, "cuBLAS");
  if (status != kSuccess) return status == kOutOfMemory ? kAllocFailed : kNotInit;
  *handle = library.get();
  live.emplace(*handle, std::move(library));
  count_handle("cublas", 1);
  return kOk;
}
API cublasDestroy_v2(void* handle) {
  ENTER("cublasDestroy_v2");
  FIND(l, handle);
  library_free(l->own);
  live.erase(handle);
  count_handle("cublas", -1);
  return kOk;
}
API cublasGetVersion_v2(void* handle, int* version) {
  ENTER("cublasGetVersion_v2");
  FIND(l, handle);
  (void)l;
  if (version == nullptr) return kBadValue;
  *version = CUDASIM_CUBLAS_VERSION;
  return kOk;
}
API cublasSetStream_v2(void* handle, void* stream) {
  ENTER("cublasSetStream_v2");
  FIND(l, handle);
  if (stream_status(stream) != kSuccess) return kBadValue;
  l->stream = stream;
  l->workspace = 0;  // documented: the workspace goes back to the default
  l->workspace_bytes = 0;
  return kOk;
}
API cublasGetStream_v2(void* handle, void** stream) {
  ENTER("cublasGetStream_v2");
  FIND(l, handle);
  if (stream == nullptr) return kBadValue;
  *stream = l->stream;
  return kOk;
}
API cublasSetWorkspace_v2(void* handle, void* workspace, size_t bytes) {
  ENTER("cublasSetWorkspace_v2");
  FIND(l, handle);
  if (address(workspace) % 256 != 0) return refuse(kBadValue, "the workspace must be aligned to 256 bytes");
  l->workspace = address(workspace);
  l->workspace_bytes = bytes;
  return kOk;
}
API cublasSetMathMode(void* handle, int mode) {
  ENTER("cublasSetMathMode");
  FIND(l, handle);
  int base = mode & ~16;
  if (base < 0 || base > 3) return refuse(kBadValue, "math mode " + std::to_string(mode));
  l->math_mode = mode;
  return kOk;
}
API cublasGetMathMode(void* handle, int* mode) {
  ENTER("cublasGetMathMode");
  FIND(l, handle);
  if (mode == nullptr) return kBadValue;
  *mode = l->math_mode;
  return kOk;
}
API cublasSetPointerMode_v2(void* handle, int mode) {
  ENTER("cublasSetPointerMode_v2");
  FIND(l, handle);
  if (mode < 0 || mode > 1) return kBadValue;
  l->pointer_mode = mode;
  return kOk;
}
API cublasSetAtomicsMode(void* handle, int mode) {
  ENTER("cublasSetAtomicsMode");
  FIND(l, handle);
  if (mode < 0 || mode > 1) return kBadValue;
  l->atomics_mode = mode;
  return kOk;
}
API cublasSetSmCountTarget(void* handle, int count) {
  ENTER("cublasSetSmCountTarget");
  FIND(l, handle);
  if (count < 0) return kBadValue;
  l->sm_target = count;
  return kOk;
}
extern "C" CUDASIM_API const char* cublasGetStatusName(int status) {
  switch (status) {
    case 0:
      return "CUBLAS_STATUS_SUCCESS";
    case 1:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case 3:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case 7:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case 8:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case 11:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case 13:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case 14:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case 15:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    case 16:
      return "CUBLAS_STATUS_LICENSE_ERROR";
    default:
      return "CUBLAS_STATUS_UNKNOWN";
  }
}
extern "C" CUDASIM_API const char* cublasGetStatusString(int status) {
  switch (status) {
    case 0:
      return "success";
    case 1:
      return "the library was not initialized";
    case 3:
      return "the resource allocation failed";
    case 7:
      return "an unsupported value or parameter was passed to the function";
    case 8:
      return "an absent device architectural feature is required";
    case 11:
      return "an access to GPU memory space failed";
    case 13:
      return "the GPU program failed to execute";
    case 14:
      return "an internal operation failed";
    case 15:
      return "the functionality requested is not supported";
    case 16:
      return "the functionality requested requires some license";
    default:
      return "unknown status";
  }
}
API cublasSgemm_v2(void* h, int op_a, int op_b, int m, int n, int k, const float* alpha, const void* a, int lda,
                   const void* b, int ldb, const float* beta, void* c, int ldc) {
  return gemm("cublasSgemm_v2", h, {op_a, op_b, m,   n,   k, 0, 0, address(a), address(b), address(c), kF32, kF32,
                                    kF32, lda,  ldb, ldc, 0, 0, 0, 1,          0,          0,          false},
              alpha, beta, 68, -1);
}
API cublasSgemmStridedBatched(void* h, int op_a, int op_b, int m, int n, int k, const float* alpha, const void* a,
                              int lda, long long stride_a, const void* b, int ldb, long long stride_b,
                              const float* beta, void* c, int ldc, long long stride_c, int batch) {
  return gemm("cublasSgemmStridedBatched", h,
              {op_a, op_b, m,   n,   k,        0,        0,        address(a), address(b), address(c), kF32, kF32,
               kF32, lda,  ldb, ldc, stride_a, stride_b, stride_c, batch,      0,          0,          false},
              alpha, beta, 68, -1);
}
API cublasGemmEx(void* h, int op_a, int op_b, int m, int n, int k, const void* alpha, const void* a, int a_type,
                 int lda, const void* b, int b_type, int ldb, const void* beta, void* c, int c_type, int ldc,
                 int compute, int algo) {
  return gemm("cublasGemmEx", h, {op_a,   op_b, m,   n,   k, 0, 0, address(a), address(b), address(c), a_type, b_type,
                                  c_type, lda,  ldb, ldc, 0, 0, 0, 1,          0,          0,          false},
              alpha, beta, compute, algo);
}
API cublasGemmStridedBatchedEx(void* h, int op_a, int op_b, int m, int n, int k, const void* alpha, const void* a,
                               int a_type, int lda, long long stride_a, const void* b, int b_type, int ldb,
                               long long stride_b, const void* beta, void* c, int c_type, int ldc, long long stride_c,
                               int batch, int compute, int algo) {
  return gemm("cublasGemmStridedBatchedEx", h,
              {op_a,   op_b, m,   n,   k,        0,        0,        address(a), address(b), address(c), a_type, b_type,
               c_type, lda,  ldb, ldc, stride_a, stride_b, stride_c, batch,      0,          0,          false},
              alpha, beta, compute, algo);
}

#define NOT_SIMULATED(symbol)                                 \
  API symbol() {                                              \
    count_call(#symbol);                                      \
    return refuse(kUnsupported, #symbol " is not simulated"); \
  }
NOT_SIMULATED(cublasGemmBatchedEx)
NOT_SIMULATED(cublasCgemmStridedBatched)
NOT_SIMULATED(cublasCgemm3mStridedBatched)
NOT_SIMULATED(cublasSgeam)
NOT_SIMULATED(cublasSgemv_v2)

#define OLD_FORM(symbol)                                                                       \
  API symbol() {                                                                               \
    count_call(#symbol);                                                                       \
    return refuse(kUnsupported, #symbol " is the call without a handle; bind " #symbol "_v2"); \
  }
OLD_FORM(cublasSgemm)
OLD_FORM(cublasSgemv)
