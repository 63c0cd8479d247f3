// The driver API's entry points, with the signatures and values of NVIDIA's documentation (CUDA 12 and 13).
#include "driver.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

using namespace cudasim;

namespace {

using Pointer = uint64_t;
using Handle = void*;

int compute_capability() {
  static const int value = static_cast<int>(environment_number("CUDASIM_COMPUTE_CAPABILITY", 90));
  return value;
}
int driver_version() {
  static const int value = static_cast<int>(environment_number("CUDASIM_DRIVER_VERSION", 13000));
  return value;
}
int device_count() {
  static const int value = static_cast<int>(environment_number("CUDASIM_DEVICE_COUNT", 1));
  return value;
}
// The newest PTX that a driver of this version takes: 12.0 takes 8.0, 13.0 takes 9.0.
int newest_ptx() {
  int major = driver_version() / 1000;
  int minor = driver_version() % 1000 / 10;
  if (major == 11) return 70 + minor;
  if (major == 12) return 80 + (minor >= 6 ? minor - 1 : minor);
  return 90 + minor;
}

// A context that libraries and calls may use; null when there is none.
Context* current() { return context_stack.empty() ? nullptr : context_stack.back(); }

int refuse(int status, const std::string& message) {
  complain(message);
  return status;
}

struct Attribute {
  int id;
  int value;
};
// A device like NVIDIA's sm_90 data-centre parts.
const Attribute kAttributes[] = {
    {1, 1024},     {2, 1024},   {3, 1024},      {4, 64},       {5, 2147483647}, {6, 65535}, {7, 65535},   {8, 49152},
    {9, 65536},    {10, 32},    {12, 65536},    {13, 1755000}, {16, 132},       {18, 0},    {33, 1},      {34, 0},
    {36, 2619000}, {37, 5120},  {38, 52428800}, {39, 2048},    {40, 3},         {41, 1},    {50, 0},      {78, 1},
    {81, 233472},  {82, 65536}, {83, 1},        {88, 0},       {89, 1},         {95, 1},    {97, 232448}, {99, 1},
    {106, 32},     {108, 0},    {111, 1024},    {115, 1},      {120, 1},        {127, 1}};

int attribute(int id) {
  if (id == 75) return compute_capability() / 10;
  if (id == 76) return compute_capability() % 10;
  for (const Attribute& a : kAttributes) {
    if (a.id == id) return a.value;
  }
  return 0;
}

bool in_arena(const void* host) {
  return reinterpret_cast<uint64_t>(host) - memory::arena.device < memory::arena.capacity;
}

// A copy or fill touches one live allocation only; graph memory counts before it is switched on.
bool covers(Pointer address, uint64_t bytes) {
  memory::Range range;
  return bytes == 0 || (memory::find(address, &range) && address + bytes <= range.base + range.bytes);
}

int check_device(Pointer address, uint64_t bytes, const char* call) {
  if (covers(address, bytes)) return kSuccess;
  char text[64];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
  return refuse(kInvalidValue, std::string(call) + " of " + std::to_string(bytes) + " bytes at " + text + ": " +
                                   memory::explain(address, bytes));
}
int check_host(const void* host, uint64_t bytes, const char* call) {
  if (bytes > 0 && host == nullptr) return refuse(kInvalidValue, std::string(call) + ": the host pointer is null");
  if (in_arena(host))
    return refuse(kInvalidValue, std::string(call) + ": a device address where a host pointer is wanted");
  return kSuccess;
}

bool on_device(Pointer address) { return address - memory::arena.device < memory::arena.capacity; }

// Copies bytes and what is known about them: undefined bytes stay undefined on the device, and never reach the host.
void copy_bytes(Pointer to, Pointer from, uint64_t bytes) {
  if (bytes == 0) return;
  if (on_device(to) && on_device(from)) {
    if (to < from + bytes && from < to + bytes && to != from)
      throw Fault(kIllegalAddress, "a copy between overlapping ranges");
    void* d = device_range(to, bytes, "copy's destination");
    const void* s = device_range(from, bytes, "copy's source");
    std::memmove(d, s, bytes);
    std::memmove(memory::arena.shadow + (to - memory::arena.device),
                 memory::arena.shadow + (from - memory::arena.device), bytes);
    return;
  }
  const void* s = on_device(from) ? device_read(from, bytes, "copy to the host") : reinterpret_cast<const void*>(from);
  void* d = on_device(to) ? device_write(to, bytes, "copy from the host") : reinterpret_cast<void*>(to);
  std::memmove(d, s, bytes);
}

int submit_copy(const char* call, Stream* stream, Pointer to, Pointer from, uint64_t bytes) {
  if (stream == nullptr) return kInvalidHandle;
  auto node = std::make_unique<Node>();
  node->type = static_cast<int>(NodeKind::Memcpy);
  node->name = call;
  node->work = [to, from, bytes] { copy_bytes(to, from, bytes); };
  return submit_node(stream, std::move(node));
}

// Synchronous copies run on the legacy stream.
int synchronous(const char* call, Pointer to, Pointer from, uint64_t bytes) {
  Device& d = Device::get();
  if (d.forbidden_by_capture()) return kCaptureImplicit;
  int status = submit_copy(call, &d.legacy_stream, to, from, bytes);
  return status != kSuccess ? status : d.lost;
}

template <typename T>
int fill(const char* call, Pointer to, T value, uint64_t count, Stream* stream, bool now) {
  Device& d = Device::get();
  if (stream == nullptr) return kInvalidHandle;
  if (to % sizeof(T) != 0)
    return refuse(kInvalidValue, std::string(call) + ": the address is not aligned to its element");
  if (int status = check_device(to, count * sizeof(T), call)) return status;
  if (now && d.forbidden_by_capture()) return kCaptureImplicit;
  auto node = std::make_unique<Node>();
  node->type = static_cast<int>(NodeKind::Memset);
  node->name = call;
  node->work = [to, value, count] {
    auto* p = static_cast<T*>(device_write(to, count * sizeof(T), "fill"));
    std::fill_n(p, count, value);
  };
  int status = submit_node(stream, std::move(node));
  return status != kSuccess || !now ? status : d.lost;
}

struct Copy2D {
  size_t src_x, src_y;
  int src_type;
  const void* src_host;
  Pointer src_device;
  Handle src_array;
  size_t src_pitch;
  size_t dst_x, dst_y;
  int dst_type;
  void* dst_host;
  Pointer dst_device;
  Handle dst_array;
  size_t dst_pitch;
  size_t width, height;
};
static_assert(sizeof(Copy2D) == 128, "CUDA_MEMCPY2D");

struct PoolProperties {
  int allocation_type, handle_types;
  int location_type, location_id;
  void* security;
  size_t max_size;
  unsigned short usage;
  unsigned char reserved[54];
};
static_assert(sizeof(PoolProperties) == 88, "CUmemPoolProps");

struct AccessDescription {
  int location_type, location_id, flags;
};

struct LaunchConfig {
  unsigned grid[3], block[3], shared;
  Handle stream;
  void* attributes;
  unsigned attribute_count;
};
static_assert(sizeof(LaunchConfig) == 56, "CUlaunchConfig");

struct KernelNodeParameters {
  Handle function;
  unsigned grid[3], block[3], shared;
  void** parameters;
  void** extra;
  Handle kernel;
  Handle context;
};
static_assert(sizeof(KernelNodeParameters) == 72, "CUDA_KERNEL_NODE_PARAMS_v2");

struct UpdateResult {
  int result;
  Handle error_node, error_from;
};
static_assert(sizeof(UpdateResult) == 24, "CUgraphExecUpdateResultInfo");

struct InstantiateParameters {
  uint64_t flags;
  Handle upload_stream, error_node;
  int result;
};
static_assert(sizeof(InstantiateParameters) == 32, "CUDA_GRAPH_INSTANTIATE_PARAMS");

struct Error {
  int code;
  const char* name;
  const char* text;
};
const Error kErrors[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {4, "CUDA_ERROR_DEINITIALIZED", "driver shutting down"},
    {34, "CUDA_ERROR_STUB_LIBRARY", "CUDA driver is a stub library"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
    {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "PTX JIT compiler library not found"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain."},
    {301, "CUDA_ERROR_FILE_NOT_FOUND", "file not found"},
    {304, "CUDA_ERROR_OPERATING_SYSTEM", "OS call failed or operation not supported on this OS"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    {709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {710, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    {712, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "part or all of the requested memory range is already mapped"},
    {713, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "pointer does not correspond to a registered memory region"},
    {715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"},
    {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {720, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "too many blocks in cooperative launch"},
    {800, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {802, "CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized"},
    {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"},
    {804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "forward compatibility was attempted on non supported HW"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {902, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate capture sequences"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    {904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {907, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
     "attempt to terminate a thread-local capture sequence from another thread"},
    {910, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE",
     "the graph update was not performed because it included changes which violated constraints"},
    {912, "CUDA_ERROR_INVALID_CLUSTER_SIZE", "cluster misconfiguration"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"}};

// --- modules ---

struct JitOptions {
  char* info = nullptr;
  char* error = nullptr;
  size_t info_capacity = 0;
  size_t error_capacity = 0;
  void** info_used = nullptr;
  void** error_used = nullptr;
  bool verbose = false;
};

int read_options(unsigned count, const int* options, void** values, JitOptions* out) {
  if (count > 0 && (options == nullptr || values == nullptr)) return kInvalidValue;
  for (unsigned k = 0; k < count; ++k) {
    auto scalar = reinterpret_cast<uintptr_t>(values[k]);
    switch (options[k]) {
      case 3:
        out->info = static_cast<char*>(values[k]);
        break;
      case 4:
        out->info_capacity = static_cast<uint32_t>(scalar);
        out->info_used = &values[k];
        break;
      case 5:
        out->error = static_cast<char*>(values[k]);
        break;
      case 6:
        out->error_capacity = static_cast<uint32_t>(scalar);
        out->error_used = &values[k];
        break;
      case 7:
        if (scalar > 4)
          return refuse(kInvalidValue, "JIT option OPTIMIZATION_LEVEL takes 0 to 4; values are scalars, not pointers");
        break;
      case 9:
        if (static_cast<int>(scalar % 65536) > compute_capability())
          return refuse(kInvalidValue, "JIT option TARGET above the device");
        break;
      case 11:
      case 12:
      case 13:
        if (scalar > 1)
          return refuse(kInvalidValue,
                        "JIT option " + std::to_string(options[k]) + " takes 0 or 1; values are scalars, not pointers");
        if (options[k] == 12) out->verbose = scalar != 0;
        break;
      default:
        if (options[k] < 0 || options[k] > 35 || (options[k] > 16 && options[k] < 20)) {
          return refuse(kInvalidValue, "unknown JIT option " + std::to_string(options[k]));
        }
    }
  }
  return kSuccess;
}

void write_log(char* buffer, size_t capacity, void** used, const std::string& text) {
  size_t n = 0;
  if (buffer != nullptr && capacity > 0) {
    n = std::min(capacity - 1, text.size());
    std::memcpy(buffer, text.data(), n);
    buffer[n] = 0;
  }
  if (used != nullptr) *used = reinterpret_cast<void*>(n == 0 ? 0 : n + 1);
}

int load_module(Handle* result, const void* image, unsigned count, const int* options, void** values,
                const char* call) {
  Device& d = Device::get();
  if (result == nullptr || image == nullptr) return kInvalidValue;
  if (d.forbidden_by_capture()) return kCaptureUnsupported;
  JitOptions jit;
  if (int status = read_options(count, options, values, &jit)) return status;
  const auto* bytes = static_cast<const unsigned char*>(image);
  uint32_t magic;
  std::memcpy(&magic, bytes, 4);
  if (magic == 0x464c457fu || magic == 0xba55ed50u) {
    return refuse(kNoBinaryForGpu, std::string(call) + ": machine code cannot be simulated; give the PTX");
  }
  if (d.inject_allocation()) return kOutOfMemory;
  std::vector<Pointer> owned;
  try {
    auto allocate = [&](const ptx::Variable& v) {
      uint64_t address = memory::allocate(std::max<uint64_t>(v.bytes, 1), memory::Owner::Module, v.name);
      if (address == 0) throw Fault(kOutOfMemory, "no memory for module variable '" + v.name + "'");
      owned.push_back(address);
      auto* p = static_cast<uint8_t*>(device_write(address, v.bytes, "module variable"));
      std::memset(p, 0, v.bytes);
      std::copy(v.initial.begin(), v.initial.end(), p);
      return address;
    };
    auto module = ptx::load(static_cast<const char*>(image), compute_capability(), newest_ptx(), allocate);
    auto* object = d.create<ModuleObject>();
    object->module = std::move(module);
    std::string info;
    if (jit.verbose) {
      for (const auto& k : object->module->kernels) {
        info += "ptxas info    : Compiling entry function '" + k.first +
                "'\nptxas info    : " + std::to_string(k.second->shared_bytes) + " bytes smem, " +
                std::to_string(k.second->parameter_bytes) + " bytes cmem[0]\n";
      }
    }
    write_log(jit.info, jit.info_capacity, jit.info_used, info);
    write_log(jit.error, jit.error_capacity, jit.error_used, "");
    *result = object;
    return kSuccess;
  } catch (const ptx::ParseError& e) {
    for (Pointer p : owned) memory::release(p, memory::Owner::Module);
    std::string text = "ptxas application ptx input, line " + std::to_string(e.line()) + "; error   : " + e.what() +
                       "\nptxas fatal   : Ptx assembly aborted due to errors";
    write_log(jit.info, jit.info_capacity, jit.info_used, "");
    write_log(jit.error, jit.error_capacity, jit.error_used, text);
    return refuse(e.status(), std::string(call) + ": " + text);
  } catch (const Fault& f) {
    for (Pointer p : owned) memory::release(p, memory::Owner::Module);
    return refuse(f.status(), f.what());
  }
}

Function* function_of(ModuleObject* module, const char* name) {
  auto known = module->functions.find(name);
  if (known != module->functions.end()) return known->second;
  auto found = module->module->kernels.find(name);
  if (found == module->module->kernels.end()) return nullptr;
  auto* f = Device::get().create<Function>();
  f->owner = module;
  f->kernel = found->second.get();
  f->max_dynamic_shared = std::max(0, 49152 - static_cast<int>(f->kernel->shared_bytes));
  module->functions.emplace(name, f);
  return f;
}

int unload_module(Handle handle) {
  Device& d = Device::get();
  auto* m = d.find<ModuleObject>(handle);
  if (m == nullptr) return kInvalidHandle;
  if (d.forbidden_by_capture()) return kCaptureUnsupported;
  for (const auto& f : m->functions) d.destroy(f.second);
  for (Pointer p : m->module->owned) memory::release(p, memory::Owner::Module);
  d.destroy(m);
  return kSuccess;
}

int estimated_registers(const Function& f) {
  return static_cast<int>(std::min<uint32_t>(255, std::max<uint32_t>(16, f.kernel->program_registers)));
}

int max_threads(const Function& f) {
  uint32_t limit = 1024;
  for (const uint32_t* bound : {f.kernel->max_threads, f.kernel->required_threads}) {
    if (bound[0] != 0) limit = std::min(limit, bound[0] * bound[1] * bound[2]);
  }
  return static_cast<int>(limit);
}

// --- launches ---

int make_launch(Function* f, const unsigned* grid, const unsigned* block, unsigned shared, void** parameters,
                void** extra, std::unique_ptr<Node>* out) {
  const ptx::Kernel& k = *f->kernel;
  auto bad = [&](const std::string& message) {
    return refuse(kInvalidValue, "launch of '" + k.name + "': " + message);
  };
  uint64_t threads = static_cast<uint64_t>(block[0]) * block[1] * block[2];
  for (int i = 0; i < 3; ++i) {
    if (grid[i] == 0 || block[i] == 0) return bad("an extent of the grid or the block is zero");
    if (grid[i] > static_cast<unsigned>(attribute(5 + i)))
      return bad("grid extent " + std::to_string(grid[i]) + " is above the device's limit");
    if (block[i] > static_cast<unsigned>(attribute(2 + i)))
      return bad("block extent " + std::to_string(block[i]) + " is above the device's limit");
    if (k.required_threads[0] != 0 && block[i] != k.required_threads[i]) return bad("the block differs from .reqntid");
  }
  if (threads > 1024) return bad(std::to_string(threads) + " threads in a block");
  if (threads > static_cast<uint64_t>(max_threads(*f))) return bad("more threads than .maxntid allows");
  if (shared > static_cast<unsigned>(f->max_dynamic_shared)) {
    return bad(std::to_string(shared) + " bytes of dynamic shared memory; the function's limit is " +
               std::to_string(f->max_dynamic_shared) + " (function attribute 8)");
  }
  std::vector<uint8_t> values(k.parameter_bytes);
  if (extra != nullptr) {
    if (parameters != nullptr) return bad("both parameters and extra are given");
    const void* buffer = nullptr;
    size_t size = 0;
    for (void** e = extra; *e != nullptr; e += 2) {
      auto key = reinterpret_cast<uintptr_t>(e[0]);
      if (key == 1)
        buffer = e[1];
      else if (key == 2)
        size = *static_cast<size_t*>(e[1]);
      else
        return bad("unknown key in extra");
    }
    if (buffer == nullptr || size != k.parameter_bytes)
      return bad("extra holds " + std::to_string(size) + " bytes of " + std::to_string(k.parameter_bytes));
    std::memcpy(values.data(), buffer, size);
  } else {
    if (parameters == nullptr && !k.parameters.empty())
      return bad("it takes " + std::to_string(k.parameters.size()) + " parameters");
    for (size_t i = 0; i < k.parameters.size(); ++i) {
      const ptx::Variable& p = k.parameters[i];
      if (parameters[i] == nullptr) return bad("parameter " + std::to_string(i) + " ('" + p.name + "') is null");
      std::memcpy(values.data() + p.address, parameters[i], p.bytes);
    }
  }
  ptx::LaunchShape shape{};
  std::copy_n(grid, 3, shape.grid);
  std::copy_n(block, 3, shape.block);
  shape.dynamic_shared = shared;
  auto node = std::make_unique<Node>();
  node->type = static_cast<int>(NodeKind::Kernel);
  node->name = k.name;
  node->function = f;
  node->work = [f, shape, values] {
    if (!f->alive) throw Fault(kLaunchFailed, "a graph launches '" + f->kernel->name + "', whose module was unloaded");
    ++Device::get().launches;
    ptx::execute(*f->kernel, shape, values);
  };
  *out = std::move(node);
  return kSuccess;
}

int launch(Handle function, const unsigned* grid, const unsigned* block, unsigned shared, Handle stream,
           void** parameters, void** extra) {
  Device& d = Device::get();
  auto* f = d.find<Function>(function);
  if (f == nullptr) return kInvalidHandle;
  Stream* s = d.stream(stream);
  if (s == nullptr) return kInvalidHandle;
  std::unique_ptr<Node> node;
  if (int status = make_launch(f, grid, block, shared, parameters, extra, &node)) return status;
  return submit_node(s, std::move(node));
}

// --- graphs ---

bool ends_capture(Capture& c, Stream* stream, int* status) {
  Device& d = Device::get();
  *status = kSuccess;
  if (c.status == 2) *status = kCaptureInvalidated;
  // Every node must lead to the origin's last ones.
  std::set<const Node*> joined;
  std::vector<const Node*> open(c.frontier[stream].begin(), c.frontier[stream].end());
  while (!open.empty()) {
    const Node* n = open.back();
    open.pop_back();
    if (!joined.insert(n).second) continue;
    open.insert(open.end(), n->dependencies.begin(), n->dependencies.end());
  }
  if (*status == kSuccess) {
    for (const auto& n : c.graph->nodes) {
      if (joined.count(n.get()) == 0) *status = kCaptureUnjoined;
    }
  }
  for (const auto& f : c.frontier) f.first->capture.reset();
  auto mine = std::find_if(d.captures.begin(), d.captures.end(), [&](const auto& x) { return x.get() == &c; });
  if (mine != d.captures.end()) d.captures.erase(mine);
  return *status == kSuccess;
}

int instantiate(Handle* result, Handle handle, uint64_t flags) {
  Device& d = Device::get();
  auto* g = d.find<Graph>(handle);
  if (g == nullptr || result == nullptr) return kInvalidValue;
  if ((flags & ~0xfull) != 0) return refuse(kInvalidValue, "unknown flags of graph instantiation");
  if (d.inject_allocation()) return kOutOfMemory;
  auto* exec = d.create<GraphExec>();
  exec->free_on_launch = (flags & 1) != 0;
  for (const auto& n : g->nodes) {
    exec->steps.push_back({n.get(), n->type, n->name, n->work, n->memory, n->function});
    exec->keep.push_back(n);
  }
  *result = exec;
  return kSuccess;
}

int submit_graph(GraphExec* exec, Stream* stream) {
  Device& d = Device::get();
  if (d.implicit_capture(stream)) return kCaptureImplicit;
  if (stream->capture != nullptr) {
    Capture& c = *stream->capture;
    if (c.status == 2) return kCaptureInvalidated;
    auto node = std::make_unique<Node>();
    node->type = 4;
    node->name = "graph";
    std::vector<GraphExec::Step> steps = exec->steps;
    node->work = [steps] {
      for (const auto& s : steps) s.work();
    };
    return submit_node(stream, std::move(node));
  }
  for (const auto& s : exec->steps) {
    if (s.type != static_cast<int>(NodeKind::MemAlloc) || !memory::is_active(s.memory->address)) continue;
    if (!exec->free_on_launch) return refuse(kInvalidValue, "the graph's memory from its last launch was not freed");
    memory::activate(s.memory->address, false);
  }
  for (const auto& s : exec->steps) run_step(s.type, s.name, s.work);
  return kSuccess;
}

// --- stream-ordered memory ---

int allocate_ordered(Pointer* result, size_t bytes, Pool* pool, Stream* stream) {
  Device& d = Device::get();
  if (result == nullptr || bytes == 0) return kInvalidValue;
  if (stream == nullptr) return kInvalidHandle;
  if (d.implicit_capture(stream)) return kCaptureImplicit;
  if (d.inject_allocation()) return kOutOfMemory;
  if (stream->capture != nullptr) {
    uint64_t address = memory::allocate(bytes, memory::Owner::Graph, "a captured allocation");
    if (address == 0) return kOutOfMemory;
    memory::activate(address, false);
    auto node = std::make_unique<Node>();
    node->type = static_cast<int>(NodeKind::MemAlloc);
    node->name = "cuMemAllocAsync";
    node->memory = std::make_shared<GraphMemory>();
    node->memory->address = address;
    node->work = [address] { memory::activate(address, true); };
    *result = address;
    return submit_node(stream, std::move(node));
  }
  uint64_t address = memory::allocate(bytes, memory::Owner::Pool, "");
  if (address == 0) return kOutOfMemory;
  pool->used += bytes;
  pool->used_high = std::max(pool->used_high, pool->used);
  d.pool_of[address] = pool;
  *result = address;
  return kSuccess;
}

Pool* default_pool() {
  Device& d = Device::get();
  if (d.default_pool == nullptr) {
    d.default_pool = d.create<Pool>();
    d.default_pool->is_default = true;
    d.current_pool = d.default_pool;
  }
  return d.default_pool;
}
Pool* current_pool() {
  default_pool();
  return Device::get().current_pool;
}

bool release_pool_memory(Pointer address) {
  Device& d = Device::get();
  auto found = d.pool_of.find(address);
  if (found == d.pool_of.end()) return false;
  memory::Range range;
  memory::find(address, &range);
  found->second->used -= range.bytes;
  d.pool_of.erase(found);
  return memory::release(address, memory::Owner::Pool);
}

int bad_free(const char* call, Pointer address) {
  char text[64];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
  return refuse(kInvalidValue,
                std::string(call) + " of " + text +
                    ", which is not the start of a live allocation of its kind: " + memory::explain(address, 1));
}

bool valid_device(int device) { return device >= 0 && device < device_count(); }

}  // namespace

#define API extern "C" CUDASIM_API int
#define NEEDS_NOTHING(symbol) return enter(symbol, Needs::Nothing, [&]() -> int
#define NEEDS_INIT(symbol) return enter(symbol, Needs::Initialised, [&]() -> int
#define NEEDS_CONTEXT(symbol) return enter(symbol, Needs::Context, [&]() -> int

// ---- initialisation and devices ----

API cuInit(unsigned flags) {
  NEEDS_NOTHING("cuInit") {
    if (flags != 0) return kInvalidValue;
    if (device_count() == 0) return kNoDevice;
    Device& d = Device::get();
    if (d.lost == kDeviceUnavailable) return d.lost;
    memory::initialise();
    d.initialised = true;
    return kSuccess;
  });
}
API cuDriverGetVersion(int* version) {
  NEEDS_NOTHING("cuDriverGetVersion") {
    if (version == nullptr) return kInvalidValue;
    *version = driver_version();
    return kSuccess;
  });
}
API cuDeviceGetCount(int* count) {
  NEEDS_INIT("cuDeviceGetCount") {
    if (count == nullptr) return kInvalidValue;
    *count = device_count();
    return kSuccess;
  });
}
API cuDeviceGet(int* device, int ordinal) {
  NEEDS_INIT("cuDeviceGet") {
    if (device == nullptr) return kInvalidValue;
    if (!valid_device(ordinal)) return kInvalidDevice;
    *device = ordinal;
    return kSuccess;
  });
}
API cuDeviceGetName(char* name, int length, int device) {
  NEEDS_INIT("cuDeviceGetName") {
    if (name == nullptr || length <= 0) return kInvalidValue;
    if (!valid_device(device)) return kInvalidDevice;
    const char* given = std::getenv("CUDASIM_DEVICE_NAME");
    std::snprintf(name, static_cast<size_t>(length), "%s", given == nullptr ? "cudasim simulated GPU" : given);
    return kSuccess;
  });
}
API cuDeviceGetAttribute(int* value, int id, int device) {
  NEEDS_INIT("cuDeviceGetAttribute") {
    if (value == nullptr || id < 1 || id > 150) return kInvalidValue;
    if (!valid_device(device)) return kInvalidDevice;
    *value = attribute(id);
    return kSuccess;
  });
}
API cuDeviceTotalMem_v2(size_t* bytes, int device) {
  NEEDS_INIT("cuDeviceTotalMem_v2") {
    if (bytes == nullptr) return kInvalidValue;
    if (!valid_device(device)) return kInvalidDevice;
    *bytes = memory::total_bytes();
    return kSuccess;
  });
}
API cuDeviceGetUuid_v2(unsigned char* uuid, int device) {
  NEEDS_INIT("cuDeviceGetUuid_v2") {
    if (uuid == nullptr) return kInvalidValue;
    if (!valid_device(device)) return kInvalidDevice;
    std::memcpy(uuid, "cudasim-device-0", 16);
    return kSuccess;
  });
}
API cuDeviceGetUuid(unsigned char* uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }

// ---- contexts ----

API cuDevicePrimaryCtxRetain(Handle* context, int device) {
  NEEDS_INIT("cuDevicePrimaryCtxRetain") {
    if (context == nullptr) return kInvalidValue;
    if (!valid_device(device)) return kInvalidDevice;
    static const bool busy = environment_number("CUDASIM_DEVICE_BUSY", 0) != 0;
    if (busy) return refuse(kDeviceUnavailable, "another process has the device for itself (CUDASIM_DEVICE_BUSY)");
    Device& d = Device::get();
    if (d.primary_references == 0 && d.inject_allocation()) return kOutOfMemory;
    if (d.primary == nullptr) {
      d.primary = d.create<Context>();
      d.primary->primary = true;
    }
    d.primary->alive = true;
    ++d.primary_references;
    *context = d.primary;
    return kSuccess;
  });
}
API cuDevicePrimaryCtxRelease_v2(int device) {
  NEEDS_NOTHING("cuDevicePrimaryCtxRelease_v2") {
    Device& d = Device::get();
    if (!d.initialised) return kNotInitialized;
    if (!valid_device(device)) return kInvalidDevice;
    if (d.primary_references == 0)
      return refuse(kInvalidContext, "the primary context is released more often than retained");
    if (--d.primary_references == 0) d.primary->alive = false;
    return kSuccess;
  });
}
API cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) {
  NEEDS_INIT("cuDevicePrimaryCtxSetFlags_v2") {
    if (!valid_device(device)) return kInvalidDevice;
    if ((flags & ~0xffu) != 0) return kInvalidValue;
    Device::get().primary_flags = flags;
    return kSuccess;
  });
}
API cuDevicePrimaryCtxGetState(int device, unsigned* flags, int* active) {
  NEEDS_INIT("cuDevicePrimaryCtxGetState") {
    if (!valid_device(device)) return kInvalidDevice;
    if (flags == nullptr || active == nullptr) return kInvalidValue;
    *flags = Device::get().primary_flags;
    *active = Device::get().primary_references > 0 ? 1 : 0;
    return kSuccess;
  });
}
API cuDevicePrimaryCtxReset_v2(int device) {
  NEEDS_NOTHING("cuDevicePrimaryCtxReset_v2") {
    Device& d = Device::get();
    if (!d.initialised) return kNotInitialized;
    if (!valid_device(device)) return kInvalidDevice;
    if (d.lost == kDeviceUnavailable) return d.lost;
    // What lived in the context goes with it, a sticky error included.
    for (auto& o : d.objects) {
      bool keep = o.second->kind == std::string("context") || !o.second->alive;
      if (!keep) d.destroy(o.second.get());
      if (auto* s = dynamic_cast<Stream*>(o.second.get())) s->capture.reset();
    }
    d.captures.clear();
    d.pool_of.clear();
    d.default_pool = d.current_pool = nullptr;
    memory::release_all();
    d.lost = kSuccess;
    return kSuccess;
  });
}
API cuCtxSetCurrent(Handle context) {
  NEEDS_NOTHING("cuCtxSetCurrent") {
    Device& d = Device::get();
    if (!d.initialised) return kNotInitialized;
    Context* c = context == nullptr ? nullptr : d.find<Context>(context);
    if (context != nullptr && c == nullptr) return kInvalidContext;
    if (context_stack.empty()) {
      context_stack.push_back(c);
    } else {
      context_stack.back() = c;
    }
    return kSuccess;
  });
}
API cuCtxGetCurrent(Handle* context) {
  NEEDS_NOTHING("cuCtxGetCurrent") {
    if (!Device::get().initialised) return kNotInitialized;
    if (context == nullptr) return kInvalidValue;
    *context = current();
    return kSuccess;
  });
}
API cuCtxPushCurrent_v2(Handle context) {
  NEEDS_NOTHING("cuCtxPushCurrent_v2") {
    Device& d = Device::get();
    if (!d.initialised) return kNotInitialized;
    Context* c = d.find<Context>(context);
    if (c == nullptr) return kInvalidContext;
    context_stack.push_back(c);
    return kSuccess;
  });
}
API cuCtxPopCurrent_v2(Handle* context) {
  NEEDS_NOTHING("cuCtxPopCurrent_v2") {
    if (!Device::get().initialised) return kNotInitialized;
    if (context_stack.empty()) return kInvalidContext;
    if (context != nullptr) *context = current();
    context_stack.pop_back();
    return kSuccess;
  });
}
API cuCtxSynchronize() {
  NEEDS_CONTEXT("cuCtxSynchronize") { return Device::get().forbidden_by_capture() ? kCaptureUnsupported : kSuccess; });
}
API cuCtxGetDevice(int* device) {
  NEEDS_CONTEXT("cuCtxGetDevice") {
    if (device == nullptr) return kInvalidValue;
    *device = 0;
    return kSuccess;
  });
}
API cuCtxSetLimit(int limit, size_t) {
  NEEDS_CONTEXT("cuCtxSetLimit") { return limit < 0 || limit > 6 ? kInvalidValue : kSuccess; });
}
API cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  NEEDS_CONTEXT("cuCtxGetStreamPriorityRange") {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = -5;
    return kSuccess;
  });
}
static int create_context(Handle* context, unsigned flags, int device) {
  if (context == nullptr) return kInvalidValue;
  if (!valid_device(device)) return kInvalidDevice;
  auto* c = Device::get().create<Context>();
  c->flags = flags;
  context_stack.push_back(c);
  *context = c;
  return kSuccess;
}
API cuCtxCreate_v2(Handle* context, unsigned flags, int device) {
  NEEDS_INIT("cuCtxCreate_v2") { return create_context(context, flags, device); });
}
API cuCtxCreate_v4(Handle* context, void* parameters, unsigned flags, int device) {
  NEEDS_INIT("cuCtxCreate_v4") {
    if (parameters != nullptr) return refuse(kNotSupported, "cuCtxCreate_v4 with parameters is not simulated");
    return create_context(context, flags, device);
  });
}
API cuCtxDestroy_v2(Handle context) {
  NEEDS_NOTHING("cuCtxDestroy_v2") {
    auto* c = Device::get().find<Context>(context);
    if (c == nullptr || c->primary) return kInvalidContext;
    if (current() == c) context_stack.pop_back();
    Device::get().destroy(c);
    return kSuccess;
  });
}

// ---- device memory ----

API cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
  NEEDS_CONTEXT("cuMemGetInfo_v2") {
    if (free_bytes == nullptr || total == nullptr) return kInvalidValue;
    *total = memory::total_bytes();
    *free_bytes = memory::total_bytes() - memory::live_bytes();
    return kSuccess;
  });
}
API cuMemAlloc_v2(Pointer* address, size_t bytes) {
  NEEDS_CONTEXT("cuMemAlloc_v2") {
    if (address == nullptr || bytes == 0) return kInvalidValue;
    Device& d = Device::get();
    if (d.forbidden_by_capture()) return kCaptureUnsupported;
    if (d.inject_allocation()) return kOutOfMemory;
    uint64_t p = memory::allocate(bytes, memory::Owner::Device, "");
    if (p == 0) return kOutOfMemory;
    *address = p;
    return kSuccess;
  });
}
API cuMemFree_v2(Pointer address) {
  NEEDS_CONTEXT("cuMemFree_v2") {
    if (Device::get().forbidden_by_capture()) return kCaptureUnsupported;
    if (address == 0 || memory::release(address, memory::Owner::Device) || release_pool_memory(address))
      return kSuccess;
    return bad_free("cuMemFree_v2", address);
  });
}
API cuPointerGetAttribute(void* out, int id, Pointer address) {
  NEEDS_CONTEXT("cuPointerGetAttribute") {
    if (out == nullptr) return kInvalidValue;
    memory::Range r;
    if (!memory::find(address, &r)) return kInvalidValue;
    bool host = r.owner == memory::Owner::HostPinned || r.owner == memory::Owner::HostRegistered;
    auto put32 = [&](int v) { std::memcpy(out, &v, 4); };
    auto put64 = [&](uint64_t v) { std::memcpy(out, &v, 8); };
    switch (id) {
      case 1:
        put64(reinterpret_cast<uint64_t>(current()));
        return kSuccess;
      case 2:
        put32(host ? 1 : 2);
        return kSuccess;
      case 3:
        put64(address);
        return kSuccess;
      case 4:
        if (!host) return kInvalidValue;
        put64(address);
        return kSuccess;
      case 7:
        put64(r.base);
        return kSuccess;
      case 8:
        *static_cast<unsigned char*>(out) = 0;
        return kSuccess;
      case 9:
        put32(0);
        return kSuccess;
      case 11:
        put64(r.base);
        return kSuccess;
      case 12:
        put64(r.bytes);
        return kSuccess;
      case 17:
        put64(r.owner == memory::Owner::Pool ? reinterpret_cast<uint64_t>(Device::get().pool_of[r.base]) : 0);
        return kSuccess;
      default:
        return refuse(kNotSupported, "pointer attribute " + std::to_string(id) + " is not simulated");
    }
  });
}
API cuMemAllocAsync(Pointer* address, size_t bytes, Handle stream) {
  NEEDS_CONTEXT("cuMemAllocAsync") {
    return allocate_ordered(address, bytes, current_pool(), Device::get().stream(stream));
  });
}
API cuMemAllocFromPoolAsync(Pointer* address, size_t bytes, Handle pool, Handle stream) {
  NEEDS_CONTEXT("cuMemAllocFromPoolAsync") {
    auto* p = Device::get().find<Pool>(pool);
    if (p == nullptr) return kInvalidValue;
    return allocate_ordered(address, bytes, p, Device::get().stream(stream));
  });
}
API cuMemFreeAsync(Pointer address, Handle stream) {
  NEEDS_CONTEXT("cuMemFreeAsync") {
    Device& d = Device::get();
    Stream* s = d.stream(stream);
    if (s == nullptr) return kInvalidHandle;
    if (d.implicit_capture(s)) return kCaptureImplicit;
    memory::Range r;
    bool known = memory::find(address, &r) && r.base == address;
    if (s->capture != nullptr) {
      if (!known || r.owner != memory::Owner::Graph)
        return refuse(kInvalidValue, "a capture can only free what it allocated");
      std::shared_ptr<GraphMemory> owner;
      for (const auto& n : s->capture->graph->nodes) {
        if (n->memory != nullptr && n->memory->address == address) owner = n->memory;
      }
      if (owner == nullptr) return refuse(kInvalidValue, "a capture can only free what it allocated");
      auto node = std::make_unique<Node>();
      node->type = static_cast<int>(NodeKind::MemFree);
      node->name = "cuMemFreeAsync";
      node->memory = owner;
      node->work = [address] { memory::activate(address, false); };
      return submit_node(s, std::move(node));
    }
    if (known && r.owner == memory::Owner::Graph && r.active) {
      memory::activate(address, false);
      return kSuccess;
    }
    return release_pool_memory(address) ? static_cast<int>(kSuccess) : bad_free("cuMemFreeAsync", address);
  });
}
API cuDeviceGetDefaultMemPool(Handle* pool, int device) {
  NEEDS_INIT("cuDeviceGetDefaultMemPool") {
    if (!valid_device(device)) return kInvalidDevice;
    if (pool == nullptr) return kInvalidValue;
    *pool = default_pool();
    return kSuccess;
  });
}
API cuDeviceGetMemPool(Handle* pool, int device) {
  NEEDS_INIT("cuDeviceGetMemPool") {
    if (!valid_device(device)) return kInvalidDevice;
    if (pool == nullptr) return kInvalidValue;
    *pool = current_pool();
    return kSuccess;
  });
}
API cuDeviceSetMemPool(int device, Handle pool) {
  NEEDS_INIT("cuDeviceSetMemPool") {
    if (!valid_device(device)) return kInvalidDevice;
    auto* p = Device::get().find<Pool>(pool);
    if (p == nullptr) return kInvalidValue;
    default_pool();
    Device::get().current_pool = p;
    return kSuccess;
  });
}
API cuMemPoolCreate(Handle* pool, const void* properties) {
  NEEDS_INIT("cuMemPoolCreate") {
    if (pool == nullptr || properties == nullptr) return kInvalidValue;
    PoolProperties p;
    std::memcpy(&p, properties, sizeof p);
    if (p.allocation_type != 1) return refuse(kInvalidValue, "cuMemPoolCreate: allocType must be PINNED (1)");
    if (p.location_type != 1 || !valid_device(p.location_id))
      return refuse(kInvalidValue, "cuMemPoolCreate: location must be a device");
    if (p.handle_types != 0) return refuse(kNotSupported, "cuMemPoolCreate: exportable pools are not simulated");
    for (unsigned char c : p.reserved) {
      if (c != 0) return refuse(kInvalidValue, "cuMemPoolCreate: reserved bytes must be zero");
    }
    if (Device::get().inject_allocation()) return kOutOfMemory;
    *pool = Device::get().create<Pool>();
    count_handle("memory pool", 1);
    return kSuccess;
  });
}
API cuMemPoolDestroy(Handle pool) {
  NEEDS_INIT("cuMemPoolDestroy") {
    Device& d = Device::get();
    auto* p = d.find<Pool>(pool);
    if (p == nullptr || p->is_default) return kInvalidValue;
    if (d.current_pool == p) d.current_pool = d.default_pool;
    d.destroy(p);
    count_handle("memory pool", -1);
    return kSuccess;
  });
}
API cuMemPoolTrimTo(Handle pool, size_t) {
  NEEDS_INIT("cuMemPoolTrimTo") { return Device::get().find<Pool>(pool) == nullptr ? kInvalidValue : kSuccess; });
}
API cuMemPoolSetAttribute(Handle pool, int id, const void* value) {
  NEEDS_INIT("cuMemPoolSetAttribute") {
    auto* p = Device::get().find<Pool>(pool);
    if (p == nullptr || value == nullptr) return kInvalidValue;
    if (id >= 1 && id <= 3) {
      std::memcpy(&p->reuse[id - 1], value, 4);
      return kSuccess;
    }
    uint64_t v;
    std::memcpy(&v, value, 8);
    if (id == 4) {
      p->release_threshold = v;
      return kSuccess;
    }
    if ((id == 6 || id == 8) && v == 0) {
      p->used_high = p->used;
      return kSuccess;
    }
    return kInvalidValue;
  });
}
API cuMemPoolGetAttribute(Handle pool, int id, void* value) {
  NEEDS_INIT("cuMemPoolGetAttribute") {
    auto* p = Device::get().find<Pool>(pool);
    if (p == nullptr || value == nullptr || id < 1 || id > 8) return kInvalidValue;
    if (id <= 3) {
      std::memcpy(value, &p->reuse[id - 1], 4);
      return kSuccess;
    }
    uint64_t v = id == 4 ? p->release_threshold : id == 5 || id == 7 ? p->used : p->used_high;
    std::memcpy(value, &v, 8);
    return kSuccess;
  });
}
API cuMemPoolSetAccess(Handle pool, const void* descriptions, size_t count) {
  NEEDS_INIT("cuMemPoolSetAccess") {
    if (Device::get().find<Pool>(pool) == nullptr || (descriptions == nullptr && count > 0)) return kInvalidValue;
    for (size_t k = 0; k < count; ++k) {
      const auto& a = static_cast<const AccessDescription*>(descriptions)[k];
      if (a.location_type != 1 || !valid_device(a.location_id)) return kInvalidDevice;
      if (a.flags != 1 && a.flags != 3) return kInvalidValue;
    }
    return kSuccess;
  });
}

// ---- host memory ----

API cuMemHostAlloc(void** host, size_t bytes, unsigned flags) {
  NEEDS_CONTEXT("cuMemHostAlloc") {
    if (host == nullptr || bytes == 0 || flags > 7) return kInvalidValue;
    Device& d = Device::get();
    if (d.forbidden_by_capture()) return kCaptureUnsupported;
    if (d.inject_allocation()) return kOutOfMemory;
    uint64_t p = memory::allocate_host(bytes);
    if (p == 0) return kOutOfMemory;
    count_handle("host", 1);
    *host = reinterpret_cast<void*>(p);
    return kSuccess;
  });
}
API cuMemFreeHost(void* host) {
  NEEDS_CONTEXT("cuMemFreeHost") {
    if (Device::get().forbidden_by_capture()) return kCaptureUnsupported;
    if (!memory::release_host(reinterpret_cast<uint64_t>(host)))
      return bad_free("cuMemFreeHost", reinterpret_cast<uint64_t>(host));
    count_handle("host", -1);
    return kSuccess;
  });
}
API cuMemHostRegister_v2(void* host, size_t bytes, unsigned flags) {
  NEEDS_CONTEXT("cuMemHostRegister_v2") {
    if (host == nullptr || bytes == 0 || flags > 15 || in_arena(host)) return kInvalidValue;
    Status status = memory::register_host(reinterpret_cast<uint64_t>(host), bytes);
    if (status == kSuccess) count_handle("host", 1);
    return status;
  });
}
API cuMemHostUnregister(void* host) {
  NEEDS_CONTEXT("cuMemHostUnregister") {
    if (!memory::unregister_host(reinterpret_cast<uint64_t>(host))) return kHostMemoryNotRegistered;
    count_handle("host", -1);
    return kSuccess;
  });
}
API cuMemHostGetDevicePointer_v2(Pointer* address, void* host, unsigned flags) {
  NEEDS_CONTEXT("cuMemHostGetDevicePointer_v2") {
    memory::Range r;
    if (address == nullptr || flags != 0 || in_arena(host) || !memory::find(reinterpret_cast<uint64_t>(host), &r))
      return kInvalidValue;
    *address = reinterpret_cast<uint64_t>(host);
    return kSuccess;
  });
}

// ---- copies and fills ----

API cuMemcpyHtoD_v2(Pointer to, const void* from, size_t bytes) {
  NEEDS_CONTEXT("cuMemcpyHtoD_v2") {
    if (int s = check_device(to, bytes, "cuMemcpyHtoD_v2")) return s;
    if (int s = check_host(from, bytes, "cuMemcpyHtoD_v2")) return s;
    return synchronous("cuMemcpyHtoD_v2", to, reinterpret_cast<Pointer>(from), bytes);
  });
}
API cuMemcpyDtoH_v2(void* to, Pointer from, size_t bytes) {
  NEEDS_CONTEXT("cuMemcpyDtoH_v2") {
    if (int s = check_device(from, bytes, "cuMemcpyDtoH_v2")) return s;
    if (int s = check_host(to, bytes, "cuMemcpyDtoH_v2")) return s;
    return synchronous("cuMemcpyDtoH_v2", reinterpret_cast<Pointer>(to), from, bytes);
  });
}
API cuMemcpyDtoD_v2(Pointer to, Pointer from, size_t bytes) {
  NEEDS_CONTEXT("cuMemcpyDtoD_v2") {
    if (int s = check_device(to, bytes, "cuMemcpyDtoD_v2")) return s;
    if (int s = check_device(from, bytes, "cuMemcpyDtoD_v2")) return s;
    return synchronous("cuMemcpyDtoD_v2", to, from, bytes);
  });
}
API cuMemcpyHtoDAsync_v2(Pointer to, const void* from, size_t bytes, Handle stream) {
  NEEDS_CONTEXT("cuMemcpyHtoDAsync_v2") {
    if (int s = check_device(to, bytes, "cuMemcpyHtoDAsync_v2")) return s;
    if (int s = check_host(from, bytes, "cuMemcpyHtoDAsync_v2")) return s;
    return submit_copy("cuMemcpyHtoDAsync_v2", Device::get().stream(stream), to, reinterpret_cast<Pointer>(from),
                       bytes);
  });
}
API cuMemcpyDtoHAsync_v2(void* to, Pointer from, size_t bytes, Handle stream) {
  NEEDS_CONTEXT("cuMemcpyDtoHAsync_v2") {
    if (int s = check_device(from, bytes, "cuMemcpyDtoHAsync_v2")) return s;
    if (int s = check_host(to, bytes, "cuMemcpyDtoHAsync_v2")) return s;
    return submit_copy("cuMemcpyDtoHAsync_v2", Device::get().stream(stream), reinterpret_cast<Pointer>(to), from,
                       bytes);
  });
}
API cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, Handle stream) {
  NEEDS_CONTEXT("cuMemcpyDtoDAsync_v2") {
    if (int s = check_device(to, bytes, "cuMemcpyDtoDAsync_v2")) return s;
    if (int s = check_device(from, bytes, "cuMemcpyDtoDAsync_v2")) return s;
    return submit_copy("cuMemcpyDtoDAsync_v2", Device::get().stream(stream), to, from, bytes);
  });
}
API cuMemcpyAsync(Pointer to, Pointer from, size_t bytes, Handle stream) {
  NEEDS_CONTEXT("cuMemcpyAsync") {
    for (Pointer p : {to, from}) {
      if (on_device(p)) {
        if (int s = check_device(p, bytes, "cuMemcpyAsync")) return s;
      } else if (p == 0 && bytes > 0) {
        return kInvalidValue;
      }
    }
    return submit_copy("cuMemcpyAsync", Device::get().stream(stream), to, from, bytes);
  });
}
API cuMemcpyPeerAsync(Pointer to, Handle to_context, Pointer from, Handle from_context, size_t bytes, Handle stream) {
  NEEDS_CONTEXT("cuMemcpyPeerAsync") {
    Device& d = Device::get();
    if (d.find<Context>(to_context) == nullptr || d.find<Context>(from_context) == nullptr) return kInvalidContext;
    if (int s = check_device(to, bytes, "cuMemcpyPeerAsync")) return s;
    if (int s = check_device(from, bytes, "cuMemcpyPeerAsync")) return s;
    return submit_copy("cuMemcpyPeerAsync", d.stream(stream), to, from, bytes);
  });
}
API cuMemcpy2DAsync_v2(const void* description, Handle stream) {
  NEEDS_CONTEXT("cuMemcpy2DAsync_v2") {
    if (description == nullptr) return kInvalidValue;
    Copy2D c;
    std::memcpy(&c, description, sizeof c);
    auto side = [&](int type, const void* host, Pointer device, size_t x, size_t y, size_t pitch,
                    Pointer* start) -> int {
      if (type != 1 && type != 2)
        return refuse(kNotSupported, "cuMemcpy2DAsync_v2: only memory types HOST (1) and DEVICE (2) are simulated");
      if (pitch < x + c.width) return refuse(kInvalidValue, "cuMemcpy2DAsync_v2: a pitch smaller than a row");
      *start = (type == 1 ? reinterpret_cast<Pointer>(host) : device) + y * pitch + x;
      if (c.width == 0 || c.height == 0) return kSuccess;
      uint64_t span = (c.height - 1) * pitch + c.width;
      return type == 1 ? check_host(host, span, "cuMemcpy2DAsync_v2")
                       : check_device(*start, span, "cuMemcpy2DAsync_v2");
    };
    Pointer from = 0;
    Pointer to = 0;
    if (int s = side(c.src_type, c.src_host, c.src_device, c.src_x, c.src_y, c.src_pitch, &from)) return s;
    if (int s = side(c.dst_type, c.dst_host, c.dst_device, c.dst_x, c.dst_y, c.dst_pitch, &to)) return s;
    Stream* s = Device::get().stream(stream);
    if (s == nullptr) return kInvalidHandle;
    auto node = std::make_unique<Node>();
    node->type = static_cast<int>(NodeKind::Memcpy);
    node->name = "cuMemcpy2DAsync_v2";
    node->work = [c, from, to] {
      for (size_t row = 0; row < c.height; ++row) copy_bytes(to + row * c.dst_pitch, from + row * c.src_pitch, c.width);
    };
    return submit_node(s, std::move(node));
  });
}
API cuMemsetD8_v2(Pointer to, unsigned char value, size_t count) {
  NEEDS_CONTEXT("cuMemsetD8_v2") { return fill("cuMemsetD8_v2", to, value, count, &Device::get().legacy_stream, true); });
}
API cuMemsetD16_v2(Pointer to, unsigned short value, size_t count) {
  NEEDS_CONTEXT("cuMemsetD16_v2") {
    return fill("cuMemsetD16_v2", to, value, count, &Device::get().legacy_stream, true);
  });
}
API cuMemsetD32_v2(Pointer to, unsigned value, size_t count) {
  NEEDS_CONTEXT("cuMemsetD32_v2") {
    return fill("cuMemsetD32_v2", to, value, count, &Device::get().legacy_stream, true);
  });
}
API cuMemsetD8Async(Pointer to, unsigned char value, size_t count, Handle stream) {
  NEEDS_CONTEXT("cuMemsetD8Async") {
    return fill("cuMemsetD8Async", to, value, count, Device::get().stream(stream), false);
  });
}
API cuMemsetD16Async(Pointer to, unsigned short value, size_t count, Handle stream) {
  NEEDS_CONTEXT("cuMemsetD16Async") {
    return fill("cuMemsetD16Async", to, value, count, Device::get().stream(stream), false);
  });
}
API cuMemsetD32Async(Pointer to, unsigned value, size_t count, Handle stream) {
  NEEDS_CONTEXT("cuMemsetD32Async") {
    return fill("cuMemsetD32Async", to, value, count, Device::get().stream(stream), false);
  });
}

// ---- streams ----

static int create_stream(Handle* stream, unsigned flags, int priority) {
  if (stream == nullptr || flags > 1) return kInvalidValue;
  if (Device::get().inject_allocation()) return kOutOfMemory;
  auto* s = Device::get().create<Stream>();
  s->flags = flags;
  s->priority = priority;
  *stream = s;
  return kSuccess;
}
API cuStreamCreate(Handle* stream, unsigned flags) {
  NEEDS_CONTEXT("cuStreamCreate") { return create_stream(stream, flags, 0); });
}
API cuStreamCreateWithPriority(Handle* stream, unsigned flags, int priority) {
  NEEDS_CONTEXT("cuStreamCreateWithPriority") { return create_stream(stream, flags, priority); });
}
API cuStreamDestroy_v2(Handle stream) {
  NEEDS_CONTEXT("cuStreamDestroy_v2") {
    Device& d = Device::get();
    if (reinterpret_cast<uintptr_t>(stream) <= 2) return kInvalidHandle;
    auto* s = d.find<Stream>(stream);
    if (s == nullptr) return kInvalidHandle;
    if (s->capture != nullptr) {
      std::shared_ptr<Capture> c = s->capture;
      int status = 0;
      ends_capture(*c, c->origin, &status);
      d.destroy(c->graph);
    }
    d.destroy(s);
    return kSuccess;
  });
}
API cuStreamSynchronize(Handle stream) {
  NEEDS_CONTEXT("cuStreamSynchronize") {
    Device& d = Device::get();
    Stream* s = d.stream(stream);
    if (s == nullptr) return kInvalidHandle;
    if (d.implicit_capture(s)) return kCaptureImplicit;
    if (s->capture != nullptr) {
      d.invalidate(*s->capture);
      return kCaptureUnsupported;
    }
    return kSuccess;
  });
}
API cuStreamQuery(Handle stream) {
  NEEDS_CONTEXT("cuStreamQuery") {
    Device& d = Device::get();
    Stream* s = d.stream(stream);
    if (s == nullptr) return kInvalidHandle;
    if (d.implicit_capture(s)) return kCaptureImplicit;
    if (s->capture != nullptr) {
      d.invalidate(*s->capture);
      return kCaptureUnsupported;
    }
    return kSuccess;
  });
}
API cuStreamWaitEvent(Handle stream, Handle event, unsigned flags) {
  NEEDS_CONTEXT("cuStreamWaitEvent") {
    Device& d = Device::get();
    Stream* s = d.stream(stream);
    auto* e = d.find<Event>(event);
    if (s == nullptr || e == nullptr) return kInvalidHandle;
    if (flags > 1) return kInvalidValue;
    if (d.implicit_capture(s)) return kCaptureImplicit;
    if (e->capture == nullptr) {
      if (s->capture != nullptr && e->recorded && flags == 0) {
        d.invalidate(*s->capture);
        return refuse(kCaptureIsolation,
                      "a capturing stream waits for an event that was recorded outside of its capture");
      }
      return kSuccess;
    }
    if (e->capture->status == 2) return kCaptureInvalidated;
    if (std::none_of(d.captures.begin(), d.captures.end(), [&](const auto& c) { return c == e->capture; }))
      return kSuccess;
    if (s->legacy) return kCaptureImplicit;
    if (s->capture != nullptr && s->capture != e->capture) {
      d.invalidate(*s->capture);
      d.invalidate(*e->capture);
      return kCaptureMerge;
    }
    s->capture = e->capture;
    auto& frontier = s->capture->frontier[s];
    frontier.insert(e->captured.begin(), e->captured.end());
    return kSuccess;
  });
}
API cuLaunchHostFunc(Handle stream, void (*callback)(void*), void* data) {
  NEEDS_CONTEXT("cuLaunchHostFunc") {
    Stream* s = Device::get().stream(stream);
    if (s == nullptr) return kInvalidHandle;
    if (callback == nullptr) return kInvalidValue;
    auto node = std::make_unique<Node>();
    node->type = static_cast<int>(NodeKind::Host);
    node->name = "host function";
    node->work = [callback, data] {
      in_callback = true;
      callback(data);
      in_callback = false;
    };
    return submit_node(s, std::move(node));
  });
}

// ---- events ----

API cuEventCreate(Handle* event, unsigned flags) {
  NEEDS_CONTEXT("cuEventCreate") {
    if (event == nullptr || flags > 7) return kInvalidValue;
    if (Device::get().inject_allocation()) return kOutOfMemory;
    auto* e = Device::get().create<Event>();
    e->flags = flags;
    *event = e;
    return kSuccess;
  });
}
static int record_event(Handle event, Handle stream, unsigned flags) {
  Device& d = Device::get();
  Stream* s = d.stream(stream);
  auto* e = d.find<Event>(event);
  if (s == nullptr || e == nullptr) return kInvalidHandle;
  if (flags > 1) return kInvalidValue;
  if (d.implicit_capture(s)) return kCaptureImplicit;
  if (s->capture != nullptr) {
    if (s->capture->status == 2) return kCaptureInvalidated;
    if (flags == 1) {
      auto node = std::make_unique<Node>();
      node->type = 7;
      node->name = "event";
      node->work = [e] {
        e->recorded = true;
        e->time = Clock::now();
      };
      return submit_node(s, std::move(node));
    }
    e->capture = s->capture;
    e->captured = s->capture->frontier[s];
    e->recorded = false;
    return kSuccess;
  }
  e->capture.reset();
  e->recorded = true;
  e->time = Clock::now();
  return kSuccess;
}
API cuEventRecord(Handle event, Handle stream) {
  NEEDS_CONTEXT("cuEventRecord") { return record_event(event, stream, 0); });
}
API cuEventRecordWithFlags(Handle event, Handle stream, unsigned flags) {
  NEEDS_CONTEXT("cuEventRecordWithFlags") { return record_event(event, stream, flags); });
}
static int wait_event(Handle event) {
  auto* e = Device::get().find<Event>(event);
  if (e == nullptr) return kInvalidHandle;
  return e->capture != nullptr ? kCapturedEvent : kSuccess;
}
API cuEventQuery(Handle event) {
  NEEDS_CONTEXT("cuEventQuery") { return wait_event(event); });
}
API cuEventSynchronize(Handle event) {
  NEEDS_CONTEXT("cuEventSynchronize") { return wait_event(event); });
}
static int elapsed(float* milliseconds, Handle start, Handle end) {
  Device& d = Device::get();
  auto* a = d.find<Event>(start);
  auto* b = d.find<Event>(end);
  if (a == nullptr || b == nullptr) return kInvalidHandle;
  if (milliseconds == nullptr) return kInvalidValue;
  if (((a->flags | b->flags) & 2) != 0) return refuse(kInvalidHandle, "elapsed time of events created without timing");
  if (a->capture != nullptr || b->capture != nullptr) return kCapturedEvent;
  if (!a->recorded || !b->recorded) return refuse(kInvalidHandle, "elapsed time of an event that was never recorded");
  *milliseconds = std::chrono::duration<float, std::milli>(b->time - a->time).count();
  return kSuccess;
}
API cuEventElapsedTime(float* milliseconds, Handle start, Handle end) {
  NEEDS_CONTEXT("cuEventElapsedTime") { return elapsed(milliseconds, start, end); });
}
API cuEventElapsedTime_v2(float* milliseconds, Handle start, Handle end) {
  NEEDS_CONTEXT("cuEventElapsedTime_v2") { return elapsed(milliseconds, start, end); });
}
API cuEventDestroy_v2(Handle event) {
  NEEDS_CONTEXT("cuEventDestroy_v2") {
    auto* e = Device::get().find<Event>(event);
    if (e == nullptr) return kInvalidHandle;
    Device::get().destroy(e);
    return kSuccess;
  });
}

// ---- modules, libraries, functions ----

API cuModuleLoadData(Handle* module, const void* image) {
  NEEDS_CONTEXT("cuModuleLoadData") { return load_module(module, image, 0, nullptr, nullptr, "cuModuleLoadData"); });
}
API cuModuleLoadDataEx(Handle* module, const void* image, unsigned count, int* options, void** values) {
  NEEDS_CONTEXT("cuModuleLoadDataEx") {
    return load_module(module, image, count, options, values, "cuModuleLoadDataEx");
  });
}
API cuModuleUnload(Handle module) {
  NEEDS_CONTEXT("cuModuleUnload") { return unload_module(module); });
}
API cuModuleGetFunction(Handle* function, Handle module, const char* name) {
  NEEDS_CONTEXT("cuModuleGetFunction") {
    if (function == nullptr || name == nullptr) return kInvalidValue;
    auto* m = Device::get().find<ModuleObject>(module);
    if (m == nullptr) return kInvalidHandle;
    *function = function_of(m, name);
    return *function == nullptr ? refuse(kNotFound, std::string("no entry '") + name + "' in the module")
                                : static_cast<int>(kSuccess);
  });
}
API cuModuleGetGlobal_v2(Pointer* address, size_t* bytes, Handle module, const char* name) {
  NEEDS_CONTEXT("cuModuleGetGlobal_v2") {
    if (name == nullptr) return kInvalidValue;
    auto* m = Device::get().find<ModuleObject>(module);
    if (m == nullptr) return kInvalidHandle;
    for (const ptx::Variable& v : m->module->variables) {
      if (v.name != name) continue;
      if (address != nullptr) *address = v.address;
      if (bytes != nullptr) *bytes = v.bytes;
      return kSuccess;
    }
    return refuse(kNotFound, std::string("no variable '") + name + "' in the module");
  });
}
API cuLibraryLoadData(Handle* library, const void* image, int* jit_options, void** jit_values, unsigned jit_count, int*,
                      void**, unsigned) {
  NEEDS_INIT("cuLibraryLoadData") {
    return load_module(library, image, jit_count, jit_options, jit_values, "cuLibraryLoadData");
  });
}
API cuLibraryGetKernel(Handle* kernel, Handle library, const char* name) {
  NEEDS_INIT("cuLibraryGetKernel") {
    if (kernel == nullptr || name == nullptr) return kInvalidValue;
    auto* m = Device::get().find<ModuleObject>(library);
    if (m == nullptr) return kInvalidHandle;
    *kernel = function_of(m, name);
    return *kernel == nullptr ? kNotFound : kSuccess;
  });
}
API cuKernelGetFunction(Handle* function, Handle kernel) {
  NEEDS_CONTEXT("cuKernelGetFunction") {
    auto* f = Device::get().find<Function>(kernel);
    if (f == nullptr || function == nullptr) return kInvalidHandle;
    *function = f;
    return kSuccess;
  });
}
API cuLibraryGetModule(Handle* module, Handle library) {
  NEEDS_CONTEXT("cuLibraryGetModule") {
    auto* m = Device::get().find<ModuleObject>(library);
    if (m == nullptr || module == nullptr) return kInvalidHandle;
    *module = m;
    return kSuccess;
  });
}
API cuLibraryUnload(Handle library) {
  NEEDS_INIT("cuLibraryUnload") { return unload_module(library); });
}
API cuFuncSetAttribute(Handle function, int id, int value) {
  NEEDS_CONTEXT("cuFuncSetAttribute") {
    auto* f = Device::get().find<Function>(function);
    if (f == nullptr) return kInvalidHandle;
    if (id == 8) {
      int limit = attribute(97) - static_cast<int>(f->kernel->shared_bytes);
      if (value < 0 || value > limit)
        return refuse(kInvalidValue,
                      "dynamic shared memory of " + std::to_string(value) + " bytes; at most " + std::to_string(limit));
      f->max_dynamic_shared = value;
      return kSuccess;
    }
    if (id == 9) {
      if (value < -1 || value > 100) return kInvalidValue;
      f->carveout = value;
      return kSuccess;
    }
    return refuse(id >= 10 && id <= 15 ? kNotSupported : kInvalidValue,
                  "function attribute " + std::to_string(id) + " cannot be set");
  });
}
API cuFuncGetAttribute(int* value, int id, Handle function) {
  NEEDS_CONTEXT("cuFuncGetAttribute") {
    auto* f = Device::get().find<Function>(function);
    if (f == nullptr) return kInvalidHandle;
    if (value == nullptr) return kInvalidValue;
    const ptx::Kernel& k = *f->kernel;
    const int values[] = {max_threads(*f),
                          static_cast<int>(k.shared_bytes),
                          static_cast<int>(k.const_bytes),
                          static_cast<int>(k.local_bytes),
                          estimated_registers(*f),
                          k.version,
                          compute_capability(),
                          0,
                          f->max_dynamic_shared,
                          f->carveout,
                          0,
                          0,
                          0,
                          0,
                          0,
                          0};
    if (id < 0 || id > 15) return kInvalidValue;
    *value = values[id];
    return kSuccess;
  });
}
static int blocks_per_processor(const Function& f, int block, size_t shared) {
  int threads = (block + 31) / 32 * 32;
  int by_threads = 2048 / threads;
  int by_registers = 65536 / (estimated_registers(f) * threads);
  uint64_t bytes = f.kernel->shared_bytes + shared + 1024;
  int by_shared = static_cast<int>(static_cast<uint64_t>(attribute(81)) / bytes);
  return std::min({by_threads, by_registers, by_shared, 32});
}
API cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Handle function, int block, size_t shared) {
  NEEDS_CONTEXT("cuOccupancyMaxActiveBlocksPerMultiprocessor") {
    auto* f = Device::get().find<Function>(function);
    if (f == nullptr) return kInvalidHandle;
    if (blocks == nullptr || block <= 0 || block > 1024) return kInvalidValue;
    *blocks = shared > static_cast<size_t>(f->max_dynamic_shared) ? 0 : blocks_per_processor(*f, block, shared);
    return kSuccess;
  });
}
API cuOccupancyMaxPotentialBlockSize(int* grid, int* block, Handle function, size_t (*needs)(int), size_t shared,
                                     int limit) {
  NEEDS_CONTEXT("cuOccupancyMaxPotentialBlockSize") {
    auto* f = Device::get().find<Function>(function);
    if (f == nullptr) return kInvalidHandle;
    if (grid == nullptr || block == nullptr || limit < 0) return kInvalidValue;
    int most = max_threads(*f);
    if (limit > 0) most = std::min(most, limit);
    int best = 0;
    *grid = *block = 0;
    for (int size = most; size >= 32; size -= 32) {
      int blocks = blocks_per_processor(*f, size, needs != nullptr ? needs(size) : shared);
      if (blocks * size > best) {
        best = blocks * size;
        *block = size;
        *grid = blocks * attribute(16);
      }
    }
    return kSuccess;
  });
}

// ---- launches ----

API cuLaunchKernel(Handle function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, Handle stream, void** parameters, void** extra) {
  NEEDS_CONTEXT("cuLaunchKernel") {
    const unsigned grid[] = {gx, gy, gz};
    const unsigned block[] = {bx, by, bz};
    return launch(function, grid, block, shared, stream, parameters, extra);
  });
}
API cuLaunchKernelEx(const void* configuration, Handle function, void** parameters, void** extra) {
  NEEDS_CONTEXT("cuLaunchKernelEx") {
    if (configuration == nullptr) return kInvalidValue;
    LaunchConfig c;
    std::memcpy(&c, configuration, sizeof c);
    for (unsigned k = 0; k < c.attribute_count; ++k) {
      int id;
      std::memcpy(&id, static_cast<const char*>(c.attributes) + 72 * k, 4);
      if (id == 2 || id == 4 || id < 1 || id > 14)
        return refuse(kNotSupported, "launch attribute " + std::to_string(id) + " is not simulated");
    }
    return launch(function, c.grid, c.block, c.shared, c.stream, parameters, extra);
  });
}

// ---- capture and graphs ----

API cuStreamBeginCapture_v2(Handle stream, int mode) {
  NEEDS_CONTEXT("cuStreamBeginCapture_v2") {
    Device& d = Device::get();
    Stream* s = d.stream(stream);
    if (s == nullptr) return kInvalidHandle;
    if (mode < 0 || mode > 2) return kInvalidValue;
    if (s->legacy) return refuse(kCaptureUnsupported, "the legacy stream cannot capture");
    if (s->capture != nullptr) return refuse(kInvalidValue, "the stream captures already");
    auto c = std::make_shared<Capture>();
    c->id = d.next_capture++;
    c->mode = mode;
    c->origin = s;
    c->thread = std::this_thread::get_id();
    c->graph = d.create<Graph>();
    c->frontier[s];
    s->capture = c;
    d.captures.push_back(c);
    return kSuccess;
  });
}
API cuStreamEndCapture(Handle stream, Handle* graph) {
  NEEDS_CONTEXT("cuStreamEndCapture") {
    Device& d = Device::get();
    Stream* s = d.stream(stream);
    if (s == nullptr) return kInvalidHandle;
    if (graph == nullptr || s->capture == nullptr) return kInvalidValue;
    std::shared_ptr<Capture> c = s->capture;
    *graph = nullptr;
    if (c->origin != s) return kCaptureUnmatched;
    if (c->mode != 2 && c->thread != std::this_thread::get_id()) return kCaptureWrongThread;
    int status = 0;
    if (!ends_capture(*c, s, &status)) {
      c->graph->nodes.clear();
      d.destroy(c->graph);
      return status;
    }
    *graph = c->graph;
    return kSuccess;
  });
}
API cuStreamIsCapturing(Handle stream, int* status) {
  NEEDS_CONTEXT("cuStreamIsCapturing") {
    Device& d = Device::get();
    Stream* s = d.stream(stream);
    if (s == nullptr) return kInvalidHandle;
    if (status == nullptr) return kInvalidValue;
    if (d.implicit_capture(s)) return kCaptureImplicit;
    *status = s->capture == nullptr ? 0 : s->capture->status;
    return kSuccess;
  });
}
API cuThreadExchangeStreamCaptureMode(int* mode) {
  NEEDS_NOTHING("cuThreadExchangeStreamCaptureMode") {
    if (mode == nullptr || *mode < 0 || *mode > 2) return kInvalidValue;
    std::swap(*mode, capture_mode);
    return kSuccess;
  });
}
API cuStreamGetCaptureInfo_v2(Handle stream, int* status, uint64_t* id, Handle* graph, Handle** dependencies,
                              size_t* count) {
  NEEDS_CONTEXT("cuStreamGetCaptureInfo_v2") {
    Stream* s = Device::get().stream(stream);
    if (s == nullptr) return kInvalidHandle;
    if (status == nullptr) return kInvalidValue;
    if (dependencies != nullptr || count != nullptr)
      return refuse(kNotSupported, "capture dependencies are not simulated");
    *status = s->capture == nullptr ? 0 : s->capture->status;
    if (s->capture != nullptr && id != nullptr) *id = s->capture->id;
    if (s->capture != nullptr && graph != nullptr) *graph = s->capture->graph;
    return kSuccess;
  });
}
API cuGraphInstantiateWithFlags(Handle* exec, Handle graph, uint64_t flags) {
  NEEDS_CONTEXT("cuGraphInstantiateWithFlags") { return instantiate(exec, graph, flags); });
}
API cuGraphInstantiateWithParams(Handle* exec, Handle graph, void* parameters) {
  NEEDS_CONTEXT("cuGraphInstantiateWithParams") {
    if (parameters == nullptr) return kInvalidValue;
    InstantiateParameters p;
    std::memcpy(&p, parameters, sizeof p);
    int status = instantiate(exec, graph, p.flags);
    p.result = status == kSuccess ? 0 : 1;
    p.error_node = nullptr;
    std::memcpy(parameters, &p, sizeof p);
    return status;
  });
}
API cuGraphLaunch(Handle exec, Handle stream) {
  NEEDS_CONTEXT("cuGraphLaunch") {
    Device& d = Device::get();
    auto* e = d.find<GraphExec>(exec);
    Stream* s = d.stream(stream);
    if (e == nullptr || s == nullptr) return kInvalidHandle;
    return submit_graph(e, s);
  });
}
API cuGraphUpload(Handle exec, Handle stream) {
  NEEDS_CONTEXT("cuGraphUpload") {
    Device& d = Device::get();
    return d.find<GraphExec>(exec) == nullptr || d.stream(stream) == nullptr ? kInvalidHandle : kSuccess;
  });
}
API cuGraphExecDestroy(Handle exec) {
  NEEDS_CONTEXT("cuGraphExecDestroy") {
    auto* e = Device::get().find<GraphExec>(exec);
    if (e == nullptr) return kInvalidHandle;
    e->steps.clear();
    e->keep.clear();
    Device::get().destroy(e);
    return kSuccess;
  });
}
API cuGraphDestroy(Handle graph) {
  NEEDS_CONTEXT("cuGraphDestroy") {
    auto* g = Device::get().find<Graph>(graph);
    if (g == nullptr) return kInvalidHandle;
    g->nodes.clear();
    Device::get().destroy(g);
    return kSuccess;
  });
}
API cuGraphExecUpdate_v2(Handle exec, Handle graph, void* result) {
  NEEDS_CONTEXT("cuGraphExecUpdate_v2") {
    Device& d = Device::get();
    auto* e = d.find<GraphExec>(exec);
    auto* g = d.find<Graph>(graph);
    if (e == nullptr || g == nullptr) return kInvalidHandle;
    if (result == nullptr) return kInvalidValue;
    UpdateResult r{0, nullptr, nullptr};
    if (e->steps.size() != g->nodes.size()) r.result = 2;
    for (size_t k = 0; r.result == 0 && k < e->steps.size(); ++k) {
      const Node& n = *g->nodes[k];
      if (n.type != e->steps[k].type)
        r.result = 3;
      else if (n.type == static_cast<int>(NodeKind::MemAlloc) || n.type == static_cast<int>(NodeKind::MemFree))
        r.result = 6;
    }
    std::memcpy(result, &r, sizeof r);
    if (r.result != 0) return kGraphExecUpdateFailure;
    for (size_t k = 0; k < e->steps.size(); ++k) {
      const Node& n = *g->nodes[k];
      e->steps[k] = {e->steps[k].origin, n.type, n.name, n.work, n.memory, n.function};
      e->keep.push_back(g->nodes[k]);
    }
    return kSuccess;
  });
}
API cuGraphGetNodes(Handle graph, Handle* nodes, size_t* count) {
  NEEDS_CONTEXT("cuGraphGetNodes") {
    auto* g = Device::get().find<Graph>(graph);
    if (g == nullptr || count == nullptr) return kInvalidValue;
    if (nodes != nullptr) {
      for (size_t k = 0; k < *count; ++k) nodes[k] = k < g->nodes.size() ? g->nodes[k].get() : nullptr;
    }
    *count = nodes == nullptr ? g->nodes.size() : std::min(*count, g->nodes.size());
    return kSuccess;
  });
}
API cuGraphNodeGetType(Handle node, int* type) {
  NEEDS_CONTEXT("cuGraphNodeGetType") {
    if (node == nullptr || type == nullptr) return kInvalidValue;
    *type = static_cast<Node*>(node)->type;
    return kSuccess;
  });
}
API cuGraphDebugDotPrint(Handle graph, const char* path, unsigned) {
  NEEDS_CONTEXT("cuGraphDebugDotPrint") {
    auto* g = Device::get().find<Graph>(graph);
    if (g == nullptr || path == nullptr) return kInvalidValue;
    std::FILE* file = std::fopen(path, "w");
    if (file == nullptr) return kOperatingSystem;
    std::fprintf(file, "digraph graph {\n");
    for (size_t k = 0; k < g->nodes.size(); ++k)
      std::fprintf(file, "  n%zu [label=\"%s\"];\n", k, g->nodes[k]->name.c_str());
    std::fprintf(file, "}\n");
    std::fclose(file);
    return kSuccess;
  });
}
API cuDeviceGraphMemTrim(int device) {
  NEEDS_INIT("cuDeviceGraphMemTrim") { return valid_device(device) ? kSuccess : kInvalidDevice; });
}
API cuGraphAddKernelNode_v2(Handle* node, Handle graph, const Handle* dependencies, size_t count,
                            const void* parameters) {
  NEEDS_CONTEXT("cuGraphAddKernelNode_v2") {
    Device& d = Device::get();
    auto* g = d.find<Graph>(graph);
    if (g == nullptr || node == nullptr || parameters == nullptr || (count > 0 && dependencies == nullptr))
      return kInvalidValue;
    KernelNodeParameters p;
    std::memcpy(&p, parameters, sizeof p);
    auto* f = d.find<Function>(p.function != nullptr ? p.function : p.kernel);
    if (f == nullptr) return kInvalidHandle;
    std::unique_ptr<Node> made;
    if (int status = make_launch(f, p.grid, p.block, p.shared, p.parameters, p.extra, &made)) return status;
    for (size_t k = 0; k < count; ++k) made->dependencies.push_back(static_cast<Node*>(dependencies[k]));
    std::shared_ptr<Node> shared = std::move(made);
    g->nodes.push_back(shared);
    *node = shared.get();
    return kSuccess;
  });
}
API cuGraphExecKernelNodeSetParams_v2(Handle exec, Handle node, const void* parameters) {
  NEEDS_CONTEXT("cuGraphExecKernelNodeSetParams_v2") {
    Device& d = Device::get();
    auto* e = d.find<GraphExec>(exec);
    if (e == nullptr || parameters == nullptr) return kInvalidValue;
    KernelNodeParameters p;
    std::memcpy(&p, parameters, sizeof p);
    auto* f = d.find<Function>(p.function != nullptr ? p.function : p.kernel);
    if (f == nullptr) return kInvalidHandle;
    for (auto& s : e->steps) {
      if (s.origin != node) continue;
      std::unique_ptr<Node> made;
      if (int status = make_launch(f, p.grid, p.block, p.shared, p.parameters, p.extra, &made)) return status;
      s.work = made->work;
      s.name = made->name;
      s.function = f;
      return kSuccess;
    }
    return refuse(kInvalidValue, "the node is not part of the executable graph");
  });
}

// ---- errors, symbols, profiler ----

static const Error* error_of(int code) {
  for (const Error& e : kErrors) {
    if (e.code == code) return &e;
  }
  return nullptr;
}
API cuGetErrorName(int code, const char** text) {
  NEEDS_NOTHING("cuGetErrorName") {
    const Error* e = error_of(code);
    if (text == nullptr) return kInvalidValue;
    *text = e == nullptr ? nullptr : e->name;
    return e == nullptr ? kInvalidValue : kSuccess;
  });
}
API cuGetErrorString(int code, const char** text) {
  NEEDS_NOTHING("cuGetErrorString") {
    const Error* e = error_of(code);
    if (text == nullptr) return kInvalidValue;
    *text = e == nullptr ? nullptr : e->text;
    return e == nullptr ? kInvalidValue : kSuccess;
  });
}
API cuProfilerStart() {
  NEEDS_CONTEXT("cuProfilerStart") {
    ++Device::get().profiler_starts;
    return kSuccess;
  });
}
API cuProfilerStop() {
  NEEDS_CONTEXT("cuProfilerStop") {
    ++Device::get().profiler_stops;
    return kSuccess;
  });
}
API cuGetProcAddress_v2(const char* name, void** address, int version, uint64_t flags, int* status) {
  NEEDS_NOTHING("cuGetProcAddress_v2") {
    if (name == nullptr || address == nullptr || flags > 2) return kInvalidValue;
    // The base name's meaning at that version; where both exist, a plain symbol is the oldest form.
    static const struct {
      const char* name;
      int since;
      const char* symbol;
    } versions[] = {{"cuCtxCreate", 13000, "cuCtxCreate_v4"},
                    {"cuCtxCreate", 3020, "cuCtxCreate_v2"},
                    {"cuEventElapsedTime", 12080, "cuEventElapsedTime_v2"},
                    {"cuEventElapsedTime", 2000, "cuEventElapsedTime"},
                    {"cuGraphInstantiate", 12000, "cuGraphInstantiateWithFlags"}};
    std::string symbol;
    for (const auto& v : versions) {
      if (symbol.empty() && std::strcmp(v.name, name) == 0 && version >= v.since) symbol = v.symbol;
    }
    Dl_info here;
    dladdr(reinterpret_cast<void*>(&cuGetErrorName), &here);
    void* self = dlopen(here.dli_fname, RTLD_NOLOAD | RTLD_LAZY);
    *address = nullptr;
    if (self != nullptr) {
      if (symbol.empty()) *address = dlsym(self, (std::string(name) + "_v2").c_str());
      if (*address == nullptr) *address = dlsym(self, symbol.empty() ? name : symbol.c_str());
      dlclose(self);
    }
    if (status != nullptr) *status = *address == nullptr ? 1 : 0;
    return *address == nullptr ? kNotFound : kSuccess;
  });
}

// ---- what exists in the real library but is not simulated ----

#define NOT_SIMULATED(symbol)                                  \
  API symbol() {                                               \
    count_call(#symbol);                                       \
    return refuse(kNotSupported, #symbol " is not simulated"); \
  }
NOT_SIMULATED(cuLinkCreate_v2)
NOT_SIMULATED(cuLinkAddData_v2)
NOT_SIMULATED(cuLinkComplete)
NOT_SIMULATED(cuLinkDestroy)
NOT_SIMULATED(cuLaunchCooperativeKernel)

// Symbols whose plain name is the form of CUDA 3 with 32-bit sizes and pointers, or one with fewer arguments.
#define OLD_FORM(symbol)                                                                                  \
  API symbol() {                                                                                          \
    count_call(#symbol);                                                                                  \
    return refuse(kNotSupported, #symbol " is the outdated form of this call; bind the suffixed symbol"); \
  }
OLD_FORM(cuDeviceTotalMem)
OLD_FORM(cuDevicePrimaryCtxRelease)
OLD_FORM(cuDevicePrimaryCtxReset)
OLD_FORM(cuDevicePrimaryCtxSetFlags)
OLD_FORM(cuCtxCreate)
OLD_FORM(cuCtxDestroy)
OLD_FORM(cuCtxPushCurrent)
OLD_FORM(cuCtxPopCurrent)
OLD_FORM(cuMemGetInfo)
OLD_FORM(cuMemAlloc)
OLD_FORM(cuMemFree)
OLD_FORM(cuMemHostRegister)
OLD_FORM(cuMemHostGetDevicePointer)
OLD_FORM(cuMemcpyHtoD)
OLD_FORM(cuMemcpyDtoH)
OLD_FORM(cuMemcpyDtoD)
OLD_FORM(cuMemcpyHtoDAsync)
OLD_FORM(cuMemcpyDtoHAsync)
OLD_FORM(cuMemcpyDtoDAsync)
OLD_FORM(cuMemcpy2DAsync)
OLD_FORM(cuMemsetD8)
OLD_FORM(cuMemsetD16)
OLD_FORM(cuMemsetD32)
OLD_FORM(cuModuleGetGlobal)
OLD_FORM(cuLinkCreate)
OLD_FORM(cuLinkAddData)
OLD_FORM(cuStreamDestroy)
OLD_FORM(cuStreamBeginCapture)
OLD_FORM(cuStreamGetCaptureInfo)
OLD_FORM(cuEventDestroy)
OLD_FORM(cuGraphInstantiate)
OLD_FORM(cuGraphInstantiate_v2)
OLD_FORM(cuGraphExecUpdate)
OLD_FORM(cuGraphAddKernelNode)
OLD_FORM(cuGraphExecKernelNodeSetParams)
OLD_FORM(cuGetProcAddress)
