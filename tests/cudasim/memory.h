// Simulated device memory: a range of addresses that the host cannot touch, its backing store, and one shadow byte per
// byte.
#pragma once

#include <cstring>
#include <string>

#include "runtime.h"

namespace cudasim::memory {

// Shadow bytes. A device address is valid while its shadow is not zero.
constexpr uint8_t kNowhere = 0;
constexpr uint8_t kUndefined = 1;
constexpr uint8_t kDefined = 2;

struct Arena {
  uint64_t device = 0;         // first device address
  uint8_t* backing = nullptr;  // backing[a - device]
  uint8_t* shadow = nullptr;   // shadow[a - device]
  uint64_t capacity = 0;
};
extern Arena arena;

enum class Owner : int { Device, Pool, Module, Library, Graph, HostPinned, HostRegistered };

// Reserves address space on first use.
void initialise();
// Zero bytes are refused by the callers. `tag` names the owner in the leak report. Returns 0 when the device has not
// that much left.
uint64_t allocate(uint64_t bytes, Owner owner, const std::string& tag);
bool release(uint64_t address, Owner owner);  // false: not the base of a live allocation of that owner
// A graph's memory keeps its address while it is switched on and off.
void activate(uint64_t address, bool on);
bool is_active(uint64_t address);

uint64_t allocate_host(uint64_t bytes);
bool release_host(uint64_t address);
Status register_host(uint64_t address, uint64_t bytes);
bool unregister_host(uint64_t address);

struct Range {
  uint64_t base = 0;
  uint64_t bytes = 0;
  Owner owner = Owner::Device;
  std::string tag;
  bool active = true;
};
bool find(uint64_t address, Range* range);

uint64_t live_count();
uint64_t live_bytes();  // device memory only
uint64_t peak_bytes();
uint64_t total_bytes();
std::string report();
void release_all();

// Says what is wrong with an access, for a fault's text.
std::string explain(uint64_t address, uint64_t bytes);
[[noreturn]] void fault(uint64_t address, uint64_t bytes, bool reading, const std::string& where);

// The slow path: pinned host memory, or a fault.
void* host_range(uint64_t address, uint64_t bytes);

// The host address of [address, address + N) for a kernel's load or store, or null when a check fails.
template <uint32_t N>
inline const uint8_t* readable(uint64_t address) {
  uint64_t offset = address - arena.device;
  if (offset < arena.capacity) {
    const uint8_t* s = arena.shadow + offset;
    bool ok = true;
    if constexpr (N == 1) {
      ok = *s == kDefined;
    } else if constexpr (N == 2) {
      uint16_t v;
      std::memcpy(&v, s, 2);
      ok = v == 0x0202u;
    } else if constexpr (N == 4) {
      uint32_t v;
      std::memcpy(&v, s, 4);
      ok = v == 0x02020202u;
    } else {
      for (uint32_t i = 0; i < N; i += 8) {
        uint64_t v;
        std::memcpy(&v, s + i, 8);
        ok = ok && v == 0x0202020202020202ull;
      }
    }
    return ok ? arena.backing + offset : nullptr;
  }
  return static_cast<const uint8_t*>(host_range(address, N));
}

template <uint32_t N>
inline uint8_t* writable(uint64_t address) {
  uint64_t offset = address - arena.device;
  if (offset < arena.capacity) {
    uint8_t* s = arena.shadow + offset;
    if (s[0] == kNowhere || s[N - 1] == kNowhere)
      return nullptr;  // an allocation's ends lie far apart from the next one's
    std::memset(s, kDefined, N);
    return arena.backing + offset;
  }
  return static_cast<uint8_t*>(host_range(address, N));
}

}  // namespace cudasim::memory
