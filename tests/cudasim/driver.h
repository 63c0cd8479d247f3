// State of the simulated driver: objects behind handles, streams, captures, injected failures.
#pragma once

#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "memory.h"
#include "ptx.h"
#include "runtime.h"

namespace cudasim {

using Clock = std::chrono::steady_clock;

// Everything a handle can name. Objects stay in memory after their destruction, so that a stale handle is told from a
// live one.
struct Object {
  explicit Object(const char* k) : kind(k) {}
  virtual ~Object() = default;
  const char* kind;
  bool alive = true;
};

struct Context : Object {
  Context() : Object("context") {}
  bool primary = false;
  unsigned flags = 0;
};

struct Pool : Object {
  Pool() : Object("pool") {}
  bool is_default = false;
  int reuse[3] = {1, 1, 1};
  uint64_t release_threshold = 0;
  uint64_t used = 0;
  uint64_t used_high = 0;
};

struct Capture;

struct Stream : Object {
  Stream() : Object("stream") {}
  unsigned flags = 0;
  int priority = 0;
  bool legacy = false;
  std::shared_ptr<Capture> capture;
};

// Memory of a graph: an address range that its allocation nodes switch on and its free nodes off.
struct GraphMemory {
  uint64_t address = 0;
  ~GraphMemory() { memory::release(address, memory::Owner::Graph); }
};

struct Function;

struct Node : Object {
  Node() : Object("node") {}
  int type = 0;
  std::string name;
  std::function<void()> work;
  std::vector<Node*> dependencies;
  std::shared_ptr<GraphMemory> memory;
  Function* function = nullptr;
};

struct Graph : Object {
  Graph() : Object("graph") {}
  std::vector<std::shared_ptr<Node>> nodes;
};

struct GraphExec : Object {
  GraphExec() : Object("graphexec") {}
  struct Step {
    const Node* origin;
    int type;
    std::string name;
    std::function<void()> work;
    std::shared_ptr<GraphMemory> memory;
    Function* function;
  };
  std::vector<Step> steps;
  std::vector<std::shared_ptr<Node>> keep;
  bool free_on_launch = false;
};

struct Capture {
  uint64_t id = 0;
  int mode = 0;
  int status = 1;  // CU_STREAM_CAPTURE_STATUS_ACTIVE
  Stream* origin = nullptr;
  std::thread::id thread;
  Graph* graph = nullptr;
  std::map<Stream*, std::set<Node*>> frontier;  // of each stream that takes part
};

struct Event : Object {
  Event() : Object("event") {}
  unsigned flags = 0;
  bool recorded = false;
  Clock::time_point time;
  std::shared_ptr<Capture> capture;
  std::set<Node*> captured;
};

struct ModuleObject : Object {
  ModuleObject() : Object("module") {}
  std::unique_ptr<ptx::Module> module;
  std::map<std::string, Function*> functions;
};

struct Function : Object {
  Function() : Object("function") {}
  ModuleObject* owner = nullptr;
  const ptx::Kernel* kernel = nullptr;
  int max_dynamic_shared = 0;
  int carveout = -1;
};

struct Device {
  std::recursive_mutex mutex;
  bool initialised = false;
  Status lost = kSuccess;  // the sticky error
  std::unordered_map<void*, std::unique_ptr<Object>> objects;
  Context* primary = nullptr;
  int primary_references = 0;
  unsigned primary_flags = 0;
  Stream legacy_stream, thread_stream;
  Pool* default_pool = nullptr;
  Pool* current_pool = nullptr;
  std::map<uint64_t, Pool*> pool_of;  // stream-ordered allocation -> pool
  std::vector<std::shared_ptr<Capture>> captures;
  uint64_t next_capture = 1;
  std::map<std::string, uint64_t> calls;
  std::map<std::string, int64_t> handles;
  int64_t fail_allocation = 0;
  int64_t fail_launch = 0;
  int64_t lose_device = 0;
  int64_t refuse_capture = 0;
  std::string last_fault;
  uint64_t launches = 0, profiler_starts = 0, profiler_stops = 0;

  static Device& get();

  template <typename T>
  T* create() {
    auto object = std::make_unique<T>();
    T* raw = object.get();
    objects.emplace(raw, std::move(object));
    ++handles[raw->kind];
    return raw;
  }
  template <typename T>
  T* find(void* handle) {
    auto found = objects.find(handle);
    if (found == objects.end()) {
      if (handle != nullptr) complain("a handle that no call gave out");
      return nullptr;
    }
    T* object = dynamic_cast<T*>(found->second.get());
    if (object == nullptr) {
      complain(std::string("a handle of a ") + found->second->kind + " where another kind is wanted");
      return nullptr;
    }
    if (!object->alive) {
      complain(std::string("use of a ") + object->kind + " after its destruction");
      return nullptr;
    }
    return object;
  }
  void destroy(Object* object) {
    object->alive = false;
    --handles[object->kind];
  }
  Stream* stream(void* handle) {
    auto value = reinterpret_cast<uintptr_t>(handle);
    if (value <= 1) return &legacy_stream;
    if (value == 2) return &thread_stream;
    return find<Stream>(handle);
  }

  void invalidate(Capture& capture);
  // An operation that a running capture forbids: invalidates it and says so.
  bool forbidden_by_capture();
  // The legacy stream would wait for a capturing stream.
  bool implicit_capture(const Stream* used);
  bool inject_allocation();
  void lose(Status status, const std::string& message);
};

extern thread_local std::vector<Context*> context_stack;
extern thread_local bool in_callback;
extern thread_local int capture_mode;  // of this thread's calls towards captures that run, CU_STREAM_CAPTURE_MODE_*

// Runs one call: counts it, takes the lock, checks what has to hold, reports exceptions as a status.
enum class Needs { Nothing, Initialised, Context };
int enter(const char* symbol, Needs needs, const std::function<int()>& body);

Status submit_node(Stream* stream, std::unique_ptr<Node> node);
void run_step(int type, const std::string& name, const std::function<void()>& work);

}  // namespace cudasim
