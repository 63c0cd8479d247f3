// cuFFT over KissFFT: single-precision plans with every layout the library documents, and its rules on plans, streams
// and work areas.
#include <kiss_fft.h>

#include <algorithm>
#include <complex>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime.h"

using namespace cudasim;

namespace {

enum Result {
  kOk = 0,
  kInvalidPlan = 1,
  kAllocFailed = 2,
  kInvalidType = 3,
  kBadValue = 4,
  kInternalError = 5,
  kExecFailed = 6,
  kSetupFailed = 7,
  kInvalidSize = 8,
  kUnalignedData = 9,
  kNoWorkspace = 13,
  kUnsupported = 16
};

enum Type { kR2C = 0x2a, kC2R = 0x2c, kC2C = 0x29 };

using Complex = std::complex<float>;
static_assert(sizeof(Complex) == sizeof(kiss_fft_cpx), "interleaved pairs");

// One side of a transform: where element (batch, i0, i1, i2) lies, in elements of its type.
struct Side {
  std::vector<int64_t> pitch;  // per dimension
  int64_t stride = 1;
  int64_t distance = 0;
};

struct Plan {
  bool made = false;
  bool auto_allocation = true;
  int type = 0;
  std::vector<int64_t> n;
  int64_t batch = 0;
  bool basic_layout = false;
  Side in, out;
  size_t work_bytes = 0;
  DevicePointer own_work = 0;
  DevicePointer tables = 0;
  DevicePointer work = 0;
  StreamHandle stream = nullptr;

  int64_t points() const {
    int64_t total = 1;
    for (int64_t x : n) total *= x;
    return total;
  }
  int64_t half() const { return n.back() / 2 + 1; }
};

std::mutex mutex;
std::map<int, std::shared_ptr<Plan>> plans;
int next_plan = 1;

int refuse(int status, const std::string& message) {
  complain("cuFFT: " + message);
  return status;
}

std::shared_ptr<Plan> find(int handle) {
  auto found = plans.find(handle);
  return found == plans.end() ? nullptr : found->second;
}

// Transforms a dense array of extents `n` along one axis.
void along(std::vector<Complex>& data, const std::vector<int64_t>& n, size_t axis, bool inverse) {
  int64_t length = n[axis];
  int64_t inner = 1;
  for (size_t k = axis + 1; k < n.size(); ++k) inner *= n[k];
  int64_t outer = static_cast<int64_t>(data.size()) / (length * inner);
  std::unique_ptr<void, void (*)(void*)> memory(
      kiss_fft_alloc(static_cast<int>(length), inverse ? 1 : 0, nullptr, nullptr), kiss_fft_free);
  auto* configuration = static_cast<kiss_fft_cfg>(memory.get());
  std::vector<Complex> line(static_cast<size_t>(length)), result(line.size());
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      Complex* first = data.data() + o * length * inner + i;
      for (int64_t k = 0; k < length; ++k) line[static_cast<size_t>(k)] = first[k * inner];
      kiss_fft(configuration, reinterpret_cast<const kiss_fft_cpx*>(line.data()),
               reinterpret_cast<kiss_fft_cpx*>(result.data()));
      for (int64_t k = 0; k < length; ++k) first[k * inner] = result[static_cast<size_t>(k)];
    }
  }
}

// Calls body(offset of a row's first element, its index in a dense array of `extents`) for each row of one batch.
template <typename Body>
void each_row(const Side& side, const std::vector<int64_t>& extents, int64_t batch, Body&& body) {
  std::vector<int64_t> at(extents.size(), 0);
  int64_t rows = 1;
  for (size_t d = 0; d + 1 < extents.size(); ++d) rows *= extents[d];
  for (int64_t r = 0; r < rows; ++r) {
    int64_t offset = 0;
    for (size_t d = 0; d + 1 < extents.size(); ++d) offset += at[d] * side.pitch[d];
    body(batch * side.distance + offset * side.stride, static_cast<size_t>(r * extents.back()));
    for (size_t d = extents.size() - 1; d-- > 0;) {
      if (++at[d] < extents[d]) break;
      at[d] = 0;
    }
  }
}

// Calls body(k, pointer to element k of the row), checking a contiguous row at once.
template <typename T, typename Body>
void read_row(DevicePointer base, int64_t offset, int64_t stride, int64_t count, Body&& body) {
  DevicePointer first = base + static_cast<uint64_t>(offset) * sizeof(T);
  if (stride == 1) {
    const auto* row = static_cast<const T*>(device_read(first, static_cast<size_t>(count) * sizeof(T), "cuFFT input"));
    for (int64_t k = 0; k < count; ++k) body(static_cast<size_t>(k), row[k]);
    return;
  }
  for (int64_t k = 0; k < count; ++k) {
    body(static_cast<size_t>(k), *static_cast<const T*>(device_read(
                                     first + static_cast<uint64_t>(k * stride) * sizeof(T), sizeof(T), "cuFFT input")));
  }
}
template <typename T, typename Value>
void write_row(DevicePointer base, int64_t offset, int64_t stride, int64_t count, Value&& value) {
  DevicePointer first = base + static_cast<uint64_t>(offset) * sizeof(T);
  if (stride == 1) {
    auto* row = static_cast<T*>(device_write(first, static_cast<size_t>(count) * sizeof(T), "cuFFT output"));
    for (int64_t k = 0; k < count; ++k) row[k] = value(static_cast<size_t>(k));
    return;
  }
  for (int64_t k = 0; k < count; ++k) {
    *static_cast<T*>(device_write(first + static_cast<uint64_t>(k * stride) * sizeof(T), sizeof(T), "cuFFT output")) =
        value(static_cast<size_t>(k));
  }
}

std::vector<int64_t> dense_pitch(const std::vector<int64_t>& extents) {
  std::vector<int64_t> pitch(extents.size(), 1);
  for (size_t d = extents.size() - 1; d-- > 0;) pitch[d] = pitch[d + 1] * extents[d + 1];
  return pitch;
}

void run(const Plan& plan, DevicePointer in, DevicePointer out, int direction) {
  if (plan.work_bytes > 0) device_range(plan.work, plan.work_bytes, "cuFFT work area");
  device_undefine(plan.work, plan.work_bytes);
  std::vector<int64_t> half = plan.n;
  half.back() = plan.half();
  Side from = plan.in;
  Side to = plan.out;
  if (plan.basic_layout && in == out && plan.type != kC2C) {
    // In place, the rows of the real side are padded to hold the complex ones.
    Side& real = plan.type == kR2C ? from : to;
    std::vector<int64_t> padded = plan.n;
    padded.back() = 2 * plan.half();
    real.pitch = dense_pitch(padded);
    real.distance = real.pitch[0] * padded[0];
  }
  // Every batch is read before one is written: in place, they may overlap where strides interleave them.
  std::vector<std::vector<Complex>> data(static_cast<size_t>(plan.batch));
  bool real_in = plan.type == kR2C;
  const std::vector<int64_t>& in_extents = plan.type == kC2R ? half : plan.n;
  for (int64_t b = 0; b < plan.batch; ++b) {
    auto& d = data[static_cast<size_t>(b)];
    int64_t points = 1;
    for (int64_t x : in_extents) points *= x;
    d.resize(static_cast<size_t>(points));
    int64_t length = in_extents.back();
    each_row(from, in_extents, b, [&](int64_t offset, size_t index) {
      Complex* row = d.data() + index;
      if (real_in) {
        read_row<float>(in, offset, from.stride, length, [&](size_t k, float v) { row[k] = v; });
      } else {
        read_row<Complex>(in, offset, from.stride, length, [&](size_t k, Complex v) { row[k] = v; });
      }
    });
  }
  if (plan.type == kC2R) {
    for (int64_t b = 0; b < plan.batch; ++b) {
      each_row(from, half, b, [&](int64_t offset, size_t) {
        for (int64_t k = 0; k < plan.half(); ++k)
          device_undefine(in + static_cast<uint64_t>(offset + k * from.stride) * 8, 8);
      });
    }
  }
  for (int64_t b = 0; b < plan.batch; ++b) {
    auto& d = data[static_cast<size_t>(b)];
    if (plan.type != kC2R) {
      for (size_t axis = 0; axis < plan.n.size(); ++axis) along(d, plan.n, axis, direction > 0);
    } else {
      // The outer dimensions as complex transforms, then each row from its non-redundant half; what a Hermitian row
      // cannot have (an imaginary part of its first and middle value) has no effect.
      for (size_t axis = 0; axis + 1 < half.size(); ++axis) along(d, half, axis, true);
      int64_t length = plan.n.back();
      int64_t rows = static_cast<int64_t>(d.size()) / plan.half();
      std::vector<Complex> full(static_cast<size_t>(rows * length));
      for (int64_t r = 0; r < rows; ++r) {
        const Complex* row = d.data() + r * plan.half();
        Complex* whole = full.data() + r * length;
        for (int64_t k = 0; k < plan.half(); ++k) whole[k] = row[k];
        whole[0] = row[0].real();
        if (length % 2 == 0) whole[length / 2] = row[length / 2].real();
        for (int64_t k = plan.half(); k < length; ++k) whole[k] = std::conj(row[length - k]);
      }
      d = std::move(full);
      along(d, plan.n, plan.n.size() - 1, true);
    }
    const std::vector<int64_t>& out_extents = plan.type == kR2C ? half : plan.n;
    int64_t length = plan.n.back();
    each_row(to, out_extents, b, [&](int64_t offset, size_t index) {
      const Complex* row = d.data() + static_cast<int64_t>(index) / out_extents.back() * length;
      if (plan.type == kC2R) {
        write_row<float>(out, offset, to.stride, length, [&](size_t k) { return row[k].real(); });
      } else {
        write_row<Complex>(out, offset, to.stride, out_extents.back(), [&](size_t k) { return row[k]; });
      }
    });
  }
  device_undefine(plan.work, plan.work_bytes);
}

int execute(const char* name, int handle, int type, DevicePointer in, DevicePointer out, int direction) {
  std::lock_guard<std::mutex> lock(mutex);
  count_call(name);
  auto plan = find(handle);
  if (plan == nullptr || !plan->made)
    return refuse(kInvalidPlan, std::string(name) + " with a plan that was not made or is destroyed");
  if (plan->type != type) return refuse(kInvalidType, std::string(name) + " with a plan of another type");
  if (type == kC2C && direction != -1 && direction != 1) return refuse(kBadValue, "the direction is -1 or 1");
  if (in == 0 || out == 0) return refuse(kBadValue, "a null pointer");
  if (in % 8 != 0 || out % 8 != 0) return refuse(kUnalignedData, "data must be aligned to a complex value");
  if (plan->work_bytes > 0 && plan->work == 0)
    return refuse(kNoWorkspace, "automatic allocation is off and no work area was set");
  if (device_status() != kSuccess) return kExecFailed;
  Plan copy = *plan;
  Status status =
      submit(plan->stream, NodeKind::Kernel, name, [copy, in, out, direction] { run(copy, in, out, direction); });
  return status == kSuccess ? kOk
                            : refuse(kExecFailed, std::string(name) + ": the driver answers " + std::to_string(status));
}

int new_plan(int* handle) {
  if (handle == nullptr) return kBadValue;
  Status status = device_status();
  if (status != kSuccess) return refuse(kSetupFailed, "the driver answers " + std::to_string(status));
  *handle = next_plan++;
  plans[*handle] = std::make_shared<Plan>();
  count_handle("cufft plan", 1);
  return kOk;
}

void drop(int handle) {
  auto plan = find(handle);
  if (plan->own_work != 0) library_free(plan->own_work);
  if (plan->tables != 0) library_free(plan->tables);
  plans.erase(handle);
  count_handle("cufft plan", -1);
}

template <typename I>
int describe(Plan* plan, int rank, const I* n, const I* inembed, I istride, I idist, const I* onembed, I ostride,
             I odist, int type, I batch) {
  if (type != kC2C && type != kR2C && type != kC2R)
    return refuse(kUnsupported, "only the single-precision types are simulated");
  if (rank < 1 || rank > 3) return refuse(kBadValue, "rank " + std::to_string(rank));
  if (n == nullptr) return kBadValue;
  for (int d = 0; d < rank; ++d) {
    if (n[d] < 1) return refuse(kInvalidSize, "an extent below 1");
  }
  if (batch < 1) return refuse(kInvalidSize, "a batch below 1");
  if ((inembed == nullptr) != (onembed == nullptr))
    return refuse(kBadValue, "inembed and onembed are both null or both given");
  plan->type = type;
  plan->n.assign(n, n + rank);
  plan->batch = batch;
  plan->basic_layout = inembed == nullptr;
  std::vector<int64_t> half = plan->n;
  half.back() = plan->half();
  const std::vector<int64_t>& in_extents = type == kC2R ? half : plan->n;
  const std::vector<int64_t>& out_extents = type == kR2C ? half : plan->n;
  auto layout = [&](Side* side, const std::vector<int64_t>& extents, const I* embed, I stride, I distance) {
    std::vector<int64_t> storage = extents;
    if (embed != nullptr) {
      for (size_t d = 1; d < storage.size(); ++d) {
        if (embed[d] < extents[d]) return refuse(kInvalidSize, "a storage extent is smaller than the data");
        storage[d] = embed[d];
      }
      if (stride < 1 || (distance < 1 && batch > 1)) return refuse(kBadValue, "a stride or distance below 1");
      side->stride = stride;
      side->distance = distance;
    }
    side->pitch = dense_pitch(storage);
    if (embed == nullptr) {
      side->stride = 1;
      side->distance = side->pitch[0] * storage[0];
    }
    return static_cast<int>(kOk);
  };
  if (int status = layout(&plan->in, in_extents, inembed, istride, idist)) return status;
  return layout(&plan->out, out_extents, onembed, ostride, odist);
}

size_t work_size(const Plan& plan) {
  int64_t points = plan.type == kC2C ? plan.points() : plan.points() / plan.n.back() * plan.half();
  return static_cast<size_t>((points * plan.batch * 8 + 255) / 256 * 256);
}

template <typename I>
int make(int handle, int rank, const I* n, const I* inembed, I istride, I idist, const I* onembed, I ostride, I odist,
         int type, I batch, size_t* work) {
  auto plan = find(handle);
  if (plan == nullptr || plan->made) return refuse(kInvalidPlan, "the plan does not exist or is made already");
  if (int status = describe(plan.get(), rank, n, inembed, istride, idist, onembed, ostride, odist, type, batch))
    return status;
  plan->work_bytes = work_size(*plan);
  if (plan->tables == 0) {
    Status status = library_allocate(&plan->tables, 4096, "cuFFT's tables");
    if (status != kSuccess)
      return refuse(status == kOutOfMemory ? kAllocFailed : kInternalError, "no tables: " + std::to_string(status));
  }
  if (plan->auto_allocation) {
    Status status = library_allocate(&plan->own_work, plan->work_bytes, "cuFFT");
    if (status != kSuccess)
      return refuse(status == kOutOfMemory ? kAllocFailed : kInternalError, "no work area: " + std::to_string(status));
    plan->work = plan->own_work;
  }
  plan->made = true;
  if (work != nullptr) *work = plan->work_bytes;
  return kOk;
}

}  // namespace

#define API extern "C" CUDASIM_API int
#define ENTER(symbol)                      \
  std::lock_guard<std::mutex> lock(mutex); \
  count_call(symbol)

API cufftCreate(int* handle) {
  ENTER("cufftCreate");
  return new_plan(handle);
}
API cufftDestroy(int handle) {
  ENTER("cufftDestroy");
  if (find(handle) == nullptr) return refuse(kInvalidPlan, "cufftDestroy of a plan that does not exist");
  drop(handle);
  return kOk;
}
API cufftPlanMany(int* handle, int rank, int* n, int* inembed, int istride, int idist, int* onembed, int ostride,
                  int odist, int type, int batch) {
  ENTER("cufftPlanMany");
  if (int status = new_plan(handle)) return status;
  size_t work = 0;
  int status = make<int>(*handle, rank, n, inembed, istride, idist, onembed, ostride, odist, type, batch, &work);
  if (status != kOk) drop(*handle);
  return status;
}
API cufftMakePlanMany(int handle, int rank, int* n, int* inembed, int istride, int idist, int* onembed, int ostride,
                      int odist, int type, int batch, size_t* work) {
  ENTER("cufftMakePlanMany");
  return make<int>(handle, rank, n, inembed, istride, idist, onembed, ostride, odist, type, batch, work);
}
API cufftMakePlanMany64(int handle, int rank, long long* n, long long* inembed, long long istride, long long idist,
                        long long* onembed, long long ostride, long long odist, int type, long long batch,
                        size_t* work) {
  ENTER("cufftMakePlanMany64");
  return make<long long>(handle, rank, n, inembed, istride, idist, onembed, ostride, odist, type, batch, work);
}
API cufftXtMakePlanMany(int handle, int rank, long long* n, long long* inembed, long long istride, long long idist,
                        int in_type, long long* onembed, long long ostride, long long odist, int out_type,
                        long long batch, size_t* work, int exec_type) {
  ENTER("cufftXtMakePlanMany");
  constexpr int real = 0;
  constexpr int complex = 4;
  int type = in_type == complex && out_type == complex ? kC2C
             : in_type == real && out_type == complex  ? kR2C
             : in_type == complex && out_type == real  ? kC2R
                                                       : 0;
  if (type == 0 || exec_type != complex)
    return refuse(kUnsupported,
                  "cufftXtMakePlanMany is simulated for CUDA_R_32F and CUDA_C_32F, executed as CUDA_C_32F");
  return make<long long>(handle, rank, n, inembed, istride, idist, onembed, ostride, odist, type, batch, work);
}
API cufftExecC2C(int plan, void* in, void* out, int direction) {
  return execute("cufftExecC2C", plan, kC2C, reinterpret_cast<DevicePointer>(in), reinterpret_cast<DevicePointer>(out),
                 direction);
}
API cufftExecR2C(int plan, void* in, void* out) {
  return execute("cufftExecR2C", plan, kR2C, reinterpret_cast<DevicePointer>(in), reinterpret_cast<DevicePointer>(out),
                 -1);
}
API cufftExecC2R(int plan, void* in, void* out) {
  return execute("cufftExecC2R", plan, kC2R, reinterpret_cast<DevicePointer>(in), reinterpret_cast<DevicePointer>(out),
                 1);
}
API cufftXtExec(int handle, void* in, void* out, int direction) {
  int type = 0;
  {
    std::lock_guard<std::mutex> lock(mutex);
    auto plan = find(handle);
    if (plan == nullptr || !plan->made)
      return refuse(kInvalidPlan, "cufftXtExec with a plan that was not made or is destroyed");
    type = plan->type;
  }
  if ((type == kR2C && direction != -1) || (type == kC2R && direction != 1))
    return refuse(kBadValue, "the direction does not fit the plan");
  return execute("cufftXtExec", handle, type, reinterpret_cast<DevicePointer>(in), reinterpret_cast<DevicePointer>(out),
                 direction);
}
API cufftSetStream(int handle, void* stream) {
  ENTER("cufftSetStream");
  auto plan = find(handle);
  if (plan == nullptr) return refuse(kInvalidPlan, "cufftSetStream of a plan that does not exist");
  if (stream_status(stream) != kSuccess) return kBadValue;
  plan->stream = stream;
  return kOk;
}
API cufftSetAutoAllocation(int handle, int on) {
  ENTER("cufftSetAutoAllocation");
  auto plan = find(handle);
  if (plan == nullptr || plan->made)
    return refuse(kInvalidPlan, "cufftSetAutoAllocation belongs between cufftCreate and making the plan");
  plan->auto_allocation = on != 0;
  return kOk;
}
API cufftSetWorkArea(int handle, void* work) {
  ENTER("cufftSetWorkArea");
  auto plan = find(handle);
  if (plan == nullptr || !plan->made) return refuse(kInvalidPlan, "cufftSetWorkArea of a plan that is not made");
  if (reinterpret_cast<uintptr_t>(work) % 256 != 0)
    return refuse(kUnalignedData, "the work area must be aligned as an allocation is");
  if (plan->own_work != 0) library_free(plan->own_work);
  plan->own_work = 0;
  plan->work = reinterpret_cast<DevicePointer>(work);
  return kOk;
}
API cufftGetSize(int handle, size_t* work) {
  ENTER("cufftGetSize");
  auto plan = find(handle);
  if (plan == nullptr || !plan->made || work == nullptr)
    return refuse(kInvalidPlan, "cufftGetSize of a plan that is not made");
  *work = plan->work_bytes;
  return kOk;
}
API cufftEstimateMany(int rank, int* n, int* inembed, int istride, int idist, int* onembed, int ostride, int odist,
                      int type, int batch, size_t* work) {
  ENTER("cufftEstimateMany");
  Plan plan;
  if (work == nullptr) return kBadValue;
  if (int status = describe<int>(&plan, rank, n, inembed, istride, idist, onembed, ostride, odist, type, batch))
    return status;
  *work = work_size(plan);
  return kOk;
}
API cufftGetVersion(int* version) {
  count_call("cufftGetVersion");
  if (version == nullptr) return kBadValue;
  *version = CUDASIM_CUFFT_VERSION;
  return kOk;
}

#define NOT_SIMULATED(symbol)                                 \
  API symbol() {                                              \
    count_call(#symbol);                                      \
    return refuse(kUnsupported, #symbol " is not simulated"); \
  }
NOT_SIMULATED(cufftExecZ2Z)
NOT_SIMULATED(cufftExecD2Z)
NOT_SIMULATED(cufftExecZ2D)
NOT_SIMULATED(cufftXtSetWorkAreaPolicy)
NOT_SIMULATED(cufftSetPlanPropertyInt64)
