#include "memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>

namespace cudasim::memory {

Arena arena;

namespace {

constexpr uint64_t kGranule = 512;  // alignment of allocations, and the least distance between two of them
constexpr uint64_t kPage = 4096;

struct State {
  std::map<uint64_t, Range> ranges;         // device and host, by base
  std::multimap<uint64_t, uint64_t> spare;  // size -> base of address ranges that were freed
  uint64_t next = 0;                        // offset of the address space never used yet
  uint64_t device_bytes = 0;
  uint64_t peak = 0;
};

State& state() {
  static State* instance = new State();  // never destroyed: the exit report comes after static destructors
  return *instance;
}

bool is_host(Owner owner) { return owner == Owner::HostPinned || owner == Owner::HostRegistered; }

uint64_t span_of(uint64_t bytes) { return (bytes + 2 * kGranule - 1) / kGranule * kGranule; }

void* reserve(uint64_t bytes, int protection) {
  void* p = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

const char* owner_name(Owner owner) {
  switch (owner) {
    case Owner::Device:
      return "device memory";
    case Owner::Pool:
      return "stream-ordered memory";
    case Owner::Module:
      return "module variable";
    case Owner::Library:
      return "library memory";
    case Owner::Graph:
      return "graph memory";
    case Owner::HostPinned:
      return "pinned host memory";
    case Owner::HostRegistered:
      return "registered host memory";
  }
  return "memory";
}

// Gives the pages of a range back to the system; they read as zero afterwards.
void forget(uint8_t* base, uint64_t offset, uint64_t bytes) {
  uint64_t first = (offset + kPage - 1) / kPage * kPage;
  uint64_t last = (offset + bytes) / kPage * kPage;
  if (last > first) madvise(base + first, last - first, MADV_DONTNEED);
}

}  // namespace

void initialise() {
  if (arena.capacity != 0) return;
  // Freed addresses are not used again until the range is exhausted, so that a stale pointer faults.
  for (uint64_t capacity = 1ull << 40; capacity >= 1ull << 32; capacity >>= 2) {
    void* device = reserve(capacity, PROT_NONE);
    void* backing = reserve(capacity, PROT_READ | PROT_WRITE);
    void* shadow = reserve(capacity, PROT_READ | PROT_WRITE);
    if (device != nullptr && backing != nullptr && shadow != nullptr) {
      arena.device = reinterpret_cast<uint64_t>(device);
      arena.backing = static_cast<uint8_t*>(backing);
      arena.shadow = static_cast<uint8_t*>(shadow);
      arena.capacity = capacity - 4 * kPage;  // a check may look a few bytes beyond its address
      state().next = kPage;
      return;
    }
    if (device != nullptr) munmap(device, capacity);
    if (backing != nullptr) munmap(backing, capacity);
    if (shadow != nullptr) munmap(shadow, capacity);
  }
  std::fprintf(stderr,
               "cudasim: cannot reserve address space for the simulated device; raise the limit on virtual memory\n");
  std::abort();
}

uint64_t total_bytes() {
  static const uint64_t bytes = static_cast<uint64_t>(environment_number("CUDASIM_MEMORY_MIB", 16384)) << 20;
  return bytes;
}

uint64_t allocate(uint64_t bytes, Owner owner, const std::string& tag) {
  initialise();
  State& s = state();
  if (bytes > total_bytes() || s.device_bytes + bytes > total_bytes()) return 0;
  uint64_t span = span_of(bytes);
  uint64_t offset = 0;
  if (s.next + span <= arena.capacity) {
    offset = s.next;
    s.next += span;
  } else {
    auto fit = s.spare.lower_bound(span);
    if (fit == s.spare.end()) return 0;
    offset = fit->second - arena.device;
    if (fit->first > span) s.spare.emplace(fit->first - span, fit->second + span);
    s.spare.erase(fit);
  }
  uint64_t address = arena.device + offset;
  std::memset(arena.shadow + offset, kUndefined, bytes);
  Range range;
  range.base = address;
  range.bytes = bytes;
  range.owner = owner;
  range.tag = tag;
  s.ranges.emplace(address, range);
  s.device_bytes += bytes;
  s.peak = std::max(s.peak, s.device_bytes);
  return address;
}

bool release(uint64_t address, Owner owner) {
  State& s = state();
  auto found = s.ranges.find(address);
  if (found == s.ranges.end() || is_host(found->second.owner) || found->second.owner != owner) return false;
  uint64_t offset = address - arena.device;
  uint64_t bytes = found->second.bytes;
  std::memset(arena.shadow + offset, kNowhere, bytes);
  forget(arena.shadow, offset, bytes);
  forget(arena.backing, offset, bytes);
  s.device_bytes -= bytes;
  s.spare.emplace(span_of(bytes), address);
  s.ranges.erase(found);
  return true;
}

void activate(uint64_t address, bool on) {
  Range& range = state().ranges.at(address);
  range.active = on;
  std::memset(arena.shadow + (address - arena.device), on ? kUndefined : kNowhere, range.bytes);
}

bool is_active(uint64_t address) {
  auto found = state().ranges.find(address);
  return found != state().ranges.end() && found->second.active;
}

uint64_t allocate_host(uint64_t bytes) {
  void* p = std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
  if (p == nullptr) return 0;
  Range range;
  range.base = reinterpret_cast<uint64_t>(p);
  range.bytes = bytes;
  range.owner = Owner::HostPinned;
  state().ranges.emplace(range.base, range);
  return range.base;
}

bool release_host(uint64_t address) {
  auto found = state().ranges.find(address);
  if (found == state().ranges.end() || found->second.owner != Owner::HostPinned) return false;
  state().ranges.erase(found);
  std::free(reinterpret_cast<void*>(address));
  return true;
}

Status register_host(uint64_t address, uint64_t bytes) {
  State& s = state();
  auto above = s.ranges.lower_bound(address);
  bool overlaps = above != s.ranges.end() && above->first < address + bytes;
  if (above != s.ranges.begin()) {
    const Range& below = std::prev(above)->second;
    overlaps = overlaps || below.base + below.bytes > address;
  }
  if (overlaps) return kHostMemoryAlreadyRegistered;
  Range range;
  range.base = address;
  range.bytes = bytes;
  range.owner = Owner::HostRegistered;
  s.ranges.emplace(address, range);
  return kSuccess;
}

bool unregister_host(uint64_t address) {
  auto found = state().ranges.find(address);
  if (found == state().ranges.end() || found->second.owner != Owner::HostRegistered) return false;
  state().ranges.erase(found);
  return true;
}

bool find(uint64_t address, Range* range) {
  const State& s = state();
  auto above = s.ranges.upper_bound(address);
  if (above == s.ranges.begin()) return false;
  const Range& candidate = std::prev(above)->second;
  if (address >= candidate.base + candidate.bytes) return false;
  *range = candidate;
  return true;
}

uint64_t live_count() {
  uint64_t count = 0;
  for (const auto& entry : state().ranges) count += is_host(entry.second.owner) ? 0 : 1;
  return count;
}

uint64_t live_bytes() { return state().device_bytes; }
uint64_t peak_bytes() { return state().peak; }

std::string report() {
  std::ostringstream text;
  for (const auto& entry : state().ranges) {
    const Range& r = entry.second;
    text << owner_name(r.owner) << (r.tag.empty() ? "" : " of ") << r.tag << " at 0x" << std::hex << r.base << std::dec
         << ", " << r.bytes << " bytes\n";
  }
  return text.str();
}

void release_all() {
  State& s = state();
  while (!s.ranges.empty()) {
    Range r = s.ranges.begin()->second;
    if (r.owner == Owner::HostPinned) {
      release_host(r.base);
    } else if (r.owner == Owner::HostRegistered) {
      unregister_host(r.base);
    } else {
      release(r.base, r.owner);
    }
  }
  s.peak = 0;
}

void* host_range(uint64_t address, uint64_t bytes) {
  Range range;
  if (!find(address, &range) || !is_host(range.owner)) return nullptr;
  if (address + bytes > range.base + range.bytes) return nullptr;
  return reinterpret_cast<void*>(address);
}

std::string explain(uint64_t address, uint64_t bytes) {
  std::ostringstream text;
  const State& s = state();
  auto above = s.ranges.upper_bound(address);
  if (above != s.ranges.begin()) {
    const Range& r = std::prev(above)->second;
    uint64_t end = r.base + r.bytes;
    if (address < end && !r.active) {
      text << "graph memory that is not allocated at this point";
      return text.str();
    }
    if (address < end) {
      text << "byte " << (address - r.base) << " of an allocation of " << r.bytes << " bytes (" << owner_name(r.owner)
           << (r.tag.empty() ? "" : " of ") << r.tag << ")";
      if (address + bytes > end) text << ", reaching " << (address + bytes - end) << " bytes beyond its end";
      return text.str();
    }
    if (address - end < 1u << 20) {
      text << (address - end) << " bytes beyond the end of an allocation of " << r.bytes << " bytes ("
           << owner_name(r.owner) << (r.tag.empty() ? "" : " of ") << r.tag << ")";
      return text.str();
    }
  }
  if (above != s.ranges.end() && above->first - address < 1u << 20) {
    text << (above->first - address) << " bytes before an allocation of " << above->second.bytes << " bytes ("
         << owner_name(above->second.owner) << ")";
    return text.str();
  }
  uint64_t offset = address - arena.device;
  text << (offset < arena.capacity && offset < s.next ? "memory that was freed" : "no allocation");
  return text.str();
}

void fault(uint64_t address, uint64_t bytes, bool reading, const std::string& where) {
  std::ostringstream text;
  Range range;
  bool inside = find(address, &range) && range.active && address + bytes <= range.base + range.bytes;
  text << where << ": ";
  if (inside && reading) {
    uint64_t first = address;
    while (first < address + bytes && arena.shadow[first - arena.device] == kDefined) ++first;
    text << "reads " << bytes << " bytes at 0x" << std::hex << address << std::dec << " of which nothing wrote 0x"
         << std::hex << first << std::dec << ": " << explain(first, 1);
    throw Fault(kLaunchFailed, text.str());
  }
  text << (reading ? "reads " : "writes ") << bytes << " bytes at 0x" << std::hex << address << std::dec << ": "
       << explain(address, bytes);
  throw Fault(kIllegalAddress, text.str());
}

}  // namespace cudasim::memory

namespace cudasim {

namespace {

// Host address of a live range, or a fault.
uint8_t* checked(DevicePointer address, size_t bytes, bool reading, const char* what) {
  using namespace memory;
  uint64_t offset = address - arena.device;
  if (offset >= arena.capacity) {
    void* host = host_range(address, bytes);
    if (host == nullptr) fault(address, bytes, reading, what);
    return static_cast<uint8_t*>(host);
  }
  Range range;
  if (!find(address, &range) || !range.active || address + bytes > range.base + range.bytes)
    fault(address, bytes, reading, what);
  return arena.backing + offset;
}

bool on_device(DevicePointer address) { return address - memory::arena.device < memory::arena.capacity; }

}  // namespace

const void* device_read(DevicePointer address, size_t bytes, const char* what) {
  if (bytes == 0) return nullptr;
  uint8_t* host = checked(address, bytes, true, what);
  if (on_device(address)) {
    const uint8_t* shadow = memory::arena.shadow + (address - memory::arena.device);
    // Equal to the first byte, and each byte equal to the next: all defined.
    if (shadow[0] != memory::kDefined || std::memcmp(shadow, shadow + 1, bytes - 1) != 0)
      memory::fault(address, bytes, true, what);
  }
  return host;
}

void* device_write(DevicePointer address, size_t bytes, const char* what) {
  if (bytes == 0) return nullptr;
  uint8_t* host = checked(address, bytes, false, what);
  if (on_device(address)) std::memset(memory::arena.shadow + (address - memory::arena.device), memory::kDefined, bytes);
  return host;
}

void* device_range(DevicePointer address, size_t bytes, const char* what) {
  return bytes == 0 ? nullptr : checked(address, bytes, false, what);
}

void device_undefine(DevicePointer address, size_t bytes) {
  if (bytes == 0 || !on_device(address)) return;
  std::memset(memory::arena.shadow + (address - memory::arena.device), memory::kUndefined, bytes);
}

}  // namespace cudasim
