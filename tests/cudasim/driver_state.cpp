#include <cstdio>
#include <cstdlib>

#include "cudasim.h"
#include "driver.h"

namespace cudasim {

thread_local std::vector<Context*> context_stack;
thread_local bool in_callback = false;
thread_local int capture_mode = 0;

long environment_number(const char* name, long fallback) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == 0) return fallback;
  char* rest = nullptr;
  long value = std::strtol(text, &rest, 0);
  if (*rest != 0) {
    std::fprintf(stderr, "cudasim: %s='%s' is not a number\n", name, text);
    std::abort();
  }
  return value;
}

Device& Device::get() {
  // Never destroyed: the exit report and late callers need it.
  static Device* device = [] {
    auto* d = new Device();
    d->legacy_stream.legacy = true;
    d->fail_allocation = environment_number("CUDASIM_FAIL_ALLOCATION", 0);
    d->fail_launch = environment_number("CUDASIM_FAIL_LAUNCH", 0);
    d->lose_device = environment_number("CUDASIM_LOSE_DEVICE", 0);
    d->refuse_capture = environment_number("CUDASIM_REFUSE_CAPTURE", 0);
    return d;
  }();
  return *device;
}

void Device::invalidate(Capture& capture) { capture.status = 2; }

bool Device::forbidden_by_capture() {
  bool forbidden = false;
  for (const auto& c : captures) {
    bool mine = c->thread == std::this_thread::get_id();
    bool reaches = capture_mode != 2 && c->mode != 2 && (mine || (c->mode == 0 && capture_mode == 0));
    if (reaches && c->status == 1) {
      invalidate(*c);
      forbidden = true;
    }
  }
  if (forbidden) complain("a call that is not permitted while a stream captures; the capture is invalid now");
  return forbidden;
}

bool Device::implicit_capture(const Stream* used) {
  if (!used->legacy) return false;
  bool hit = false;
  for (const auto& c : captures) {
    for (const auto& f : c->frontier) {
      if ((f.first->flags & 1) == 0) {
        invalidate(*c);
        hit = true;
      }
    }
  }
  if (hit) complain("the legacy stream was used while a blocking stream captures; the capture is invalid now");
  return hit;
}

bool Device::inject_allocation() { return fail_allocation > 0 && --fail_allocation == 0; }

void Device::lose(Status status, const std::string& message) {
  complain(message);
  if (lost == kSuccess) lost = status;
}

int enter(const char* symbol, Needs needs, const std::function<int()>& body) {
  Device& d = Device::get();
  std::lock_guard<std::recursive_mutex> lock(d.mutex);
  count_call(symbol);
  if (in_callback) {
    complain(std::string(symbol) + " called from a host function of a stream");
    return kNotPermitted;
  }
  if (needs != Needs::Nothing) {
    if (!d.initialised) return kNotInitialized;
    if (d.lost != kSuccess) return d.lost;
  }
  if (needs == Needs::Context) {
    if (context_stack.empty() || context_stack.back() == nullptr) {
      complain(std::string(symbol) + " without a current context");
      return kInvalidContext;
    }
    if (!context_stack.back()->alive) return kContextIsDestroyed;
  }
  try {
    return body();
  } catch (const Fault& f) {
    d.lose(f.status(), f.what());
    return f.status();
  }
}

void run_step(int type, const std::string& name, const std::function<void()>& work) {
  Device& d = Device::get();
  if (d.lost != kSuccess) return;
  try {
    if (type == static_cast<int>(NodeKind::Kernel)) {
      if (d.fail_launch > 0 && --d.fail_launch == 0) {
        throw Fault(kLaunchFailed, "injected failure of '" + name + "'");
      }
      if (d.lose_device > 0 && --d.lose_device == 0) {
        throw Fault(kDeviceUnavailable, "injected loss of the device at '" + name + "'");
      }
    }
    work();
  } catch (const Fault& f) {
    d.lose(f.status(), f.what());
  }
}

Status submit_node(Stream* stream, std::unique_ptr<Node> node) {
  Device& d = Device::get();
  if (d.implicit_capture(stream)) return kCaptureImplicit;
  if (stream->capture != nullptr) {
    Capture& c = *stream->capture;
    if (c.status == 2) return kCaptureInvalidated;
    if (d.refuse_capture > 0 && --d.refuse_capture == 0) {
      d.invalidate(c);
      complain("injected refusal to record '" + node->name + "'; the capture is invalid now");
      return kCaptureUnsupported;
    }
    auto& frontier = c.frontier[stream];
    node->dependencies.assign(frontier.begin(), frontier.end());
    std::shared_ptr<Node> shared = std::move(node);
    frontier = {shared.get()};
    c.graph->nodes.push_back(shared);
    return kSuccess;
  }
  run_step(node->type, node->name, node->work);
  return kSuccess;
}

Status submit(StreamHandle handle, NodeKind kind, const char* name, std::function<void()> work) {
  Device& d = Device::get();
  std::lock_guard<std::recursive_mutex> lock(d.mutex);
  if (d.lost != kSuccess) return d.lost;
  Stream* stream = d.stream(handle);
  if (stream == nullptr) return kInvalidHandle;
  auto node = std::make_unique<Node>();
  node->type = static_cast<int>(kind);
  node->name = name;
  node->work = std::move(work);
  return submit_node(stream, std::move(node));
}

Status stream_status(StreamHandle handle) {
  Device& d = Device::get();
  std::lock_guard<std::recursive_mutex> lock(d.mutex);
  return d.stream(handle) == nullptr ? kInvalidHandle : kSuccess;
}

bool stream_capturing(StreamHandle handle) {
  Device& d = Device::get();
  std::lock_guard<std::recursive_mutex> lock(d.mutex);
  Stream* stream = d.stream(handle);
  return stream != nullptr && stream->capture != nullptr;
}

Status device_status() {
  Device& d = Device::get();
  std::lock_guard<std::recursive_mutex> lock(d.mutex);
  if (!d.initialised) return kNotInitialized;
  if (d.lost != kSuccess) return d.lost;
  // The libraries' runtime makes the primary context current by itself; what it cannot do is make one where none was
  // retained.
  if (context_stack.empty() || context_stack.back() == nullptr || !context_stack.back()->alive) {
    complain("a library call without a current context");
    return kInvalidContext;
  }
  return kSuccess;
}

Status library_allocate(DevicePointer* address, size_t bytes, const char* owner) {
  Device& d = Device::get();
  std::lock_guard<std::recursive_mutex> lock(d.mutex);
  if (d.lost != kSuccess) return d.lost;
  if (d.forbidden_by_capture()) return kCaptureUnsupported;
  if (d.inject_allocation()) return kOutOfMemory;
  *address = memory::allocate(bytes, memory::Owner::Library, owner);
  return *address == 0 ? kOutOfMemory : kSuccess;
}

Status library_free(DevicePointer address) {
  Device& d = Device::get();
  std::lock_guard<std::recursive_mutex> lock(d.mutex);
  return memory::release(address, memory::Owner::Library) ? kSuccess : kInvalidValue;
}

void count_call(const char* name) {
  Device& d = Device::get();
  std::lock_guard<std::recursive_mutex> lock(d.mutex);
  ++d.calls[name];
  static const bool trace = environment_number("CUDASIM_TRACE", 0) != 0;
  if (trace) std::fprintf(stderr, "cudasim: %s\n", name);
}

void count_handle(const char* kind, int change) {
  Device& d = Device::get();
  std::lock_guard<std::recursive_mutex> lock(d.mutex);
  d.handles[kind] += change;
}

void complain(const std::string& message) {
  Device& d = Device::get();
  std::lock_guard<std::recursive_mutex> lock(d.mutex);
  d.last_fault = message;
  static const bool quiet = environment_number("CUDASIM_QUIET", 0) != 0;
  if (!quiet) std::fprintf(stderr, "cudasim: %s\n", message.c_str());
}

namespace {

std::string leaks() {
  Device& d = Device::get();
  std::string text = memory::report();
  for (const auto& h : d.handles) {
    // Functions go with their module, the default pool and nodes with their owners.
    bool owned = h.first == "function" || h.first == "node" || h.first == "pool";
    int64_t count = h.second - (h.first == "context" && d.primary != nullptr ? 1 : 0);
    if (!owned && count != 0) text += std::to_string(count) + " of kind " + h.first + "\n";
  }
  if (d.primary_references > 0) text += "primary context retained " + std::to_string(d.primary_references) + " times\n";
  return text;
}

size_t give(const std::string& value, char* text, size_t capacity) {
  if (text != nullptr && capacity > 0) {
    size_t n = std::min(capacity - 1, value.size());
    std::memcpy(text, value.data(), n);
    text[n] = 0;
  }
  return value.size();
}

// CUDASIM_LEAK_REPORT: "1" writes to standard error, anything else names a file to append to. Nothing is written when
// nothing is left.
__attribute__((destructor)) void report_at_exit() {
  const char* wanted = std::getenv("CUDASIM_LEAK_REPORT");
  if (wanted == nullptr || *wanted == 0) return;
  std::string text = leaks();
  if (text.empty()) return;
  bool console = std::strcmp(wanted, "1") == 0;
  std::FILE* file = console ? stderr : std::fopen(wanted, "a");
  if (file == nullptr) return;
  std::fprintf(file, "cudasim: left at exit: %llu device allocations, %llu bytes\n%s",
               static_cast<unsigned long long>(memory::live_count()),
               static_cast<unsigned long long>(memory::live_bytes()), text.c_str());
  if (!console) std::fclose(file);
}

}  // namespace

}  // namespace cudasim

using cudasim::Device;
using Lock = std::lock_guard<std::recursive_mutex>;

extern "C" {

CUDASIM_API uint64_t cudasim_call_count(const char* symbol) {
  Device& d = Device::get();
  Lock lock(d.mutex);
  auto found = d.calls.find(symbol);
  return found == d.calls.end() ? 0 : found->second;
}
CUDASIM_API uint64_t cudasim_total_call_count(void) {
  Device& d = Device::get();
  Lock lock(d.mutex);
  uint64_t total = 0;
  for (const auto& c : d.calls) total += c.second;
  return total;
}
CUDASIM_API void cudasim_reset_call_counts(void) {
  Device& d = Device::get();
  Lock lock(d.mutex);
  d.calls.clear();
}
CUDASIM_API size_t cudasim_call_report(char* text, size_t capacity) {
  Device& d = Device::get();
  Lock lock(d.mutex);
  std::string report;
  for (const auto& c : d.calls) report += c.first + " " + std::to_string(c.second) + "\n";
  return cudasim::give(report, text, capacity);
}
CUDASIM_API uint64_t cudasim_live_allocations(void) {
  Lock lock(Device::get().mutex);
  return cudasim::memory::live_count();
}
CUDASIM_API uint64_t cudasim_live_bytes(void) {
  Lock lock(Device::get().mutex);
  return cudasim::memory::live_bytes();
}
CUDASIM_API uint64_t cudasim_peak_bytes(void) {
  Lock lock(Device::get().mutex);
  return cudasim::memory::peak_bytes();
}
CUDASIM_API int64_t cudasim_live_handles(const char* kind) {
  Device& d = Device::get();
  Lock lock(d.mutex);
  auto found = d.handles.find(kind);
  return found == d.handles.end() ? 0 : found->second;
}
CUDASIM_API size_t cudasim_leak_report(char* text, size_t capacity) {
  Lock lock(Device::get().mutex);
  return cudasim::give(cudasim::leaks(), text, capacity);
}
CUDASIM_API void cudasim_fail_allocation(int64_t n) {
  Lock lock(Device::get().mutex);
  Device::get().fail_allocation = n;
}
CUDASIM_API void cudasim_fail_launch(int64_t n) {
  Lock lock(Device::get().mutex);
  Device::get().fail_launch = n;
}
CUDASIM_API void cudasim_refuse_capture(int64_t n) {
  Lock lock(Device::get().mutex);
  Device::get().refuse_capture = n;
}
CUDASIM_API void cudasim_lose_device(void) {
  Lock lock(Device::get().mutex);
  Device::get().lost = cudasim::kDeviceUnavailable;
}
CUDASIM_API void cudasim_reset(void) {
  Device& d = Device::get();
  Lock lock(d.mutex);
  for (auto& o : d.objects) o.second->alive = false;
  for (auto& o : d.objects) {
    if (auto* graph = dynamic_cast<cudasim::Graph*>(o.second.get())) graph->nodes.clear();
    if (auto* exec = dynamic_cast<cudasim::GraphExec*>(o.second.get())) {
      exec->steps.clear();
      exec->keep.clear();
    }
    if (auto* stream = dynamic_cast<cudasim::Stream*>(o.second.get())) stream->capture.reset();
  }
  cudasim::memory::release_all();
  d.handles.clear();
  d.captures.clear();
  d.calls.clear();
  d.pool_of.clear();
  d.primary = nullptr;
  d.primary_references = 0;
  d.primary_flags = 0;
  d.default_pool = d.current_pool = nullptr;
  d.initialised = false;
  d.lost = cudasim::kSuccess;
  d.fail_allocation = d.fail_launch = d.lose_device = d.refuse_capture = 0;
  d.last_fault.clear();
  d.launches = d.profiler_starts = d.profiler_stops = 0;
  cudasim::context_stack.clear();
}
CUDASIM_API size_t cudasim_last_fault(char* text, size_t capacity) {
  Lock lock(Device::get().mutex);
  return cudasim::give(Device::get().last_fault, text, capacity);
}
CUDASIM_API uint64_t cudasim_instructions(void) {
  Lock lock(Device::get().mutex);
  return cudasim::ptx::instructions_executed();
}
CUDASIM_API uint64_t cudasim_kernel_launches(void) {
  Lock lock(Device::get().mutex);
  return Device::get().launches;
}
CUDASIM_API uint64_t cudasim_profiler_starts(void) {
  Lock lock(Device::get().mutex);
  return Device::get().profiler_starts;
}
CUDASIM_API uint64_t cudasim_profiler_stops(void) {
  Lock lock(Device::get().mutex);
  return Device::get().profiler_stops;
}

}  // extern "C"
