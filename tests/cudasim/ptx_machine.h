// The running state of one block: warps that execute in lockstep where their lanes agree, shared memory, barriers.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "memory.h"
#include "ptx.h"

namespace cudasim::ptx {

// Who touched a byte of shared memory last. Block stamps grow at each barrier of the block, warp stamps at each
// bar.warp.sync; two accesses of one block stamp (and, within a warp, of one warp stamp) are not ordered.
struct Touch {
  uint32_t write_block = 0, write_warp = 0, read_block = 0, read_warp = 0;
  uint16_t writer = 0, reader = 0;
  bool write_atomic = false;
  bool lanes_read = false;  // several lanes of reader's warp
  bool warps_read = false;  // several warps
};

struct Group {
  uint32_t pc = 0;
  uint32_t mask = 0;
  bool parked = false;  // waits for lanes of its warp at a barrier or a warp-wide instruction
};

struct Block;

struct PendingCopy {  // cp.async: not visible before its group was waited for
  uint32_t lane;
  uint64_t from;
  uint32_t to;
  uint32_t bytes;
  uint32_t read_bytes;
  uint32_t group;
};

struct Warp {
  uint8_t* registers = nullptr;
  uint32_t* written = nullptr;  // by register: lanes that hold a value
  Block* block = nullptr;
  uint32_t index = 0;
  uint32_t lanes = 0;  // threads that exist
  uint32_t live = 0;   // threads that have not exited
  uint32_t stamp = 0;
  std::vector<Group> groups;
  enum State { Ready, AtBarrier, Finished } state = Ready;
  uint32_t barrier = 0;
  uint32_t barrier_count = 0;  // threads expected; 0: all of the block
  uint32_t barrier_pc = 0;
  uint32_t copy_group = 0;
  std::vector<PendingCopy> copies;
};

struct Block {
  const Kernel* kernel = nullptr;
  LaunchShape shape{};
  const std::vector<uint8_t>* parameters = nullptr;
  uint32_t ctaid[3] = {0, 0, 0};
  uint32_t threads = 0;
  uint32_t shared_bytes = 0;
  uint32_t stamp = 0;
  bool any_exited = false;
  std::vector<uint8_t> shared, shared_shadow;
  std::vector<Touch> touches;
  std::vector<uint8_t> local, local_shadow;  // thread * local_bytes
  std::vector<Warp> warps;
  uint64_t executed = 0;
};

template <typename T>
inline T* lanes(Warp& w, Slot s) {
  return reinterpret_cast<T*>(w.registers + s.offset);
}
inline uint32_t& predicate(Warp& w, Slot s) { return *reinterpret_cast<uint32_t*>(w.registers + s.offset); }

template <typename Body>
inline void each(uint32_t mask, Body&& body) {
  while (mask != 0) {
    body(static_cast<uint32_t>(__builtin_ctz(mask)));
    mask &= mask - 1;
  }
}

// "kernel 'k', line 12 `ld.global.f32 ...`, block (0,0,0), thread (3,0,0)"
std::string where(const Warp& w, const Instruction& i, uint32_t lane);
[[noreturn]] void fault(const Warp& w, const Instruction& i, uint32_t lane, Status status, const std::string& message);

inline uint64_t address_of(Warp& w, const Instruction& i, uint32_t lane) {
  uint64_t base = i.base_is_64 ? lanes<uint64_t>(w, i.s[0])[lane] : lanes<uint32_t>(w, i.s[0])[lane];
  return base + static_cast<uint64_t>(i.immediate);
}

}  // namespace cudasim::ptx
