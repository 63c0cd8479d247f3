// Runs a grid: blocks one after another, warps of a block in turn, lanes of a warp together where they agree. Where
// they do not, the lanes that stand at the lowest instruction go first, which brings them together again behind every
// structured branch.
#include <algorithm>
#include <sstream>

#include "ptx_machine.h"

namespace cudasim::ptx {

namespace {

uint64_t total_executed = 0;

constexpr uint64_t kQuota = 1 << 20;  // instructions of a warp before the others get a turn

std::string lane_list(uint32_t mask) {
  std::string text;
  each(mask, [&](uint32_t l) { text += (text.empty() ? "" : ",") + std::to_string(l); });
  return text;
}

void require_written(const Warp& w, const Instruction& i, Slot s, uint32_t mask) {
  uint32_t missing = mask & ~w.written[s.index];
  if (missing != 0) {
    fault(w, i, static_cast<uint32_t>(__builtin_ctz(missing)), kLaunchFailed,
          "register '" + w.block->kernel->register_names[s.index] + "' is read before anything wrote it");
  }
}

// The lanes that must take part in a warp-wide instruction.
uint32_t members(Warp& w, const Instruction& i, uint32_t mask) {
  const uint32_t* values = lanes<uint32_t>(w, i.s[i.member_source]);
  uint32_t first = values[__builtin_ctz(mask)];
  each(mask, [&](uint32_t l) {
    if (values[l] != first) fault(w, i, l, kLaunchFailed, "lanes name different member masks");
    if (((first >> l) & 1) == 0) fault(w, i, l, kLaunchFailed, "a lane that its own member mask leaves out");
  });
  uint32_t wanted = first & w.lanes;
  if ((wanted & ~w.live) != 0) {
    fault(w, i, static_cast<uint32_t>(__builtin_ctz(mask)), kLaunchFailed,
          "the member mask names lanes that have exited: " + lane_list(wanted & ~w.live));
  }
  return wanted;
}

class Runner {
 public:
  Runner(Block& block) : block_(block), code_(block.kernel->code.data()) {}

  void run_block() {
    while (true) {
      bool ready = false;
      bool waiting = false;
      for (Warp& w : block_.warps) {
        if (w.state == Warp::Ready) {
          run(w);
          ready = true;
        }
        waiting = waiting || w.state == Warp::AtBarrier;
      }
      bool released = waiting && release();
      if (!ready && !released) {
        if (!waiting) return;
        stuck();
      }
      if (block_.executed > budget()) {
        throw Fault(kLaunchTimeout, "kernel '" + block_.kernel->name + "': a block ran for " +
                                        std::to_string(block_.executed) + " instructions (CUDASIM_MAX_INSTRUCTIONS)");
      }
    }
  }

 private:
  static uint64_t budget() {
    static const auto limit = static_cast<uint64_t>(environment_number("CUDASIM_MAX_INSTRUCTIONS", 20000000000));
    return limit;
  }

  // Opens each barrier at which everybody expected has arrived.
  bool release() {
    bool any = false;
    for (Warp& first : block_.warps) {
      if (first.state != Warp::AtBarrier) continue;
      uint32_t id = first.barrier;
      uint32_t expected = first.barrier_count == 0 ? block_.threads : first.barrier_count;
      uint32_t arrived = 0;
      for (const Warp& w : block_.warps) {
        if (w.state != Warp::AtBarrier || w.barrier != id) continue;
        if ((w.barrier_count == 0 ? block_.threads : w.barrier_count) != expected) {
          fault(w, code_[w.barrier_pc], 0, kLaunchFailed,
                "divergent barrier: warps expect different numbers of threads at barrier " + std::to_string(id));
        }
        arrived += first.barrier_count == 0 ? static_cast<uint32_t>(__builtin_popcount(w.lanes)) : kWarp;
      }
      if (arrived < expected) continue;
      for (Warp& w : block_.warps) {
        if (w.state != Warp::AtBarrier || w.barrier != id) continue;
        w.state = Warp::Ready;
        for (Group& g : w.groups) ++g.pc;
      }
      ++block_.stamp;
      any = true;
    }
    return any;
  }

  [[noreturn]] void stuck() {
    std::string done;
    const Warp* waits = nullptr;
    for (const Warp& w : block_.warps) {
      if (w.state == Warp::Finished) done += (done.empty() ? "" : ",") + std::to_string(w.index);
      if (w.state == Warp::AtBarrier && waits == nullptr) waits = &w;
    }
    std::string reason =
        done.empty() ? "warps wait at different barriers" : "warps " + done + " have exited without it";
    fault(*waits, code_[waits->barrier_pc], 0, kLaunchFailed, "divergent barrier: " + reason);
  }

  // Merges groups at one instruction; moves the lowest that can run to the back and returns where the next one stands.
  bool choose(Warp& w, Group* chosen, uint32_t* limit) {
    auto& groups = w.groups;
    if (groups.size() == 1 && !groups[0].parked) {
      *chosen = groups[0];
      groups.clear();
      *limit = UINT32_MAX;
      return true;
    }
    std::sort(groups.begin(), groups.end(),
              [](const Group& a, const Group& b) { return a.pc != b.pc ? a.pc < b.pc : a.parked < b.parked; });
    size_t kept = 0;
    for (size_t k = 0; k < groups.size(); ++k) {
      if (kept > 0 && groups[kept - 1].pc == groups[k].pc && groups[kept - 1].parked == groups[k].parked) {
        groups[kept - 1].mask |= groups[k].mask;
      } else {
        groups[kept++] = groups[k];
      }
    }
    groups.resize(kept);
    size_t best = kept;
    *limit = UINT32_MAX;
    for (size_t k = 0; k < kept; ++k) {
      if (groups[k].parked) continue;
      if (best == kept) {
        best = k;
      } else {
        *limit = groups[k].pc;
        break;
      }
    }
    if (best == kept) return false;
    *chosen = groups[best];
    // Lanes that waited at this instruction for these join them.
    for (size_t k = 0; k < groups.size(); ++k) {
      if (groups[k].parked && groups[k].pc == chosen->pc) {
        chosen->mask |= groups[k].mask;
        groups[k].mask = 0;
      }
    }
    groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(best));
    groups.erase(std::remove_if(groups.begin(), groups.end(), [](const Group& g) { return g.mask == 0; }),
                 groups.end());
    return true;
  }

  [[noreturn]] void never_joined(Warp& w) {
    const Group& g = w.groups.front();
    const Instruction& i = code_[g.pc];
    uint32_t others = w.lanes & ~g.mask;
    std::string text = "lanes " + lane_list(others) + " of the warp do not reach it (they exited or wait elsewhere)";
    fault(w, i, static_cast<uint32_t>(__builtin_ctz(g.mask)), kLaunchFailed,
          (i.flow == Flow::Barrier ? "divergent barrier: " : "divergent warp-wide instruction: ") + text);
  }

  // Runs a warp until it waits at a barrier, finishes, or has used its quota.
  void run(Warp& w) {
    uint64_t stop = block_.executed + kQuota * kWarp;
    while (true) {
      if (w.live == 0) {
        w.state = Warp::Finished;
        return;
      }
      if (block_.executed > stop) return;
      Group g;
      uint32_t limit = 0;
      if (!choose(w, &g, &limit)) never_joined(w);
      uint32_t pc = g.pc;
      uint32_t mask = g.mask;
      while (true) {
        const Instruction& i = code_[pc];
        uint32_t m = mask;
        if (i.guarded) {
          require_written(w, i, i.guard, mask);
          uint32_t p = predicate(w, i.guard);
          m &= i.guard_negated ? ~p : p;
        }
        block_.executed += static_cast<uint32_t>(__builtin_popcount(mask));
        if (i.flow == Flow::Branch) {
          if (m == mask) {
            pc = i.branch;
          } else if (m == 0) {
            ++pc;
          } else {
            if (i.uniform)
              fault(w, i, static_cast<uint32_t>(__builtin_ctz(m)), kLaunchFailed,
                    "bra.uni diverges: lanes " + lane_list(m) + " take it");
            w.groups.push_back({i.branch, m, false});
            w.groups.push_back({pc + 1, mask & ~m, false});
            break;
          }
          if (pc >= limit || block_.executed > stop) {
            w.groups.push_back({pc, mask, false});
            break;
          }
          continue;
        }
        if (m != 0) {
          for (uint32_t k = 0; k < i.source_count; ++k) {
            if ((m & ~w.written[i.s[k].index]) != 0) require_written(w, i, i.s[k], m);
          }
          if (i.flow == Flow::Exit) {
            w.live &= ~m;
            mask &= ~m;
            block_.any_exited = true;
            if (mask == 0) break;
          } else if (i.flow == Flow::Barrier) {
            if (arrive(w, i, pc, mask, m)) return;
            break;
          } else {
            if (i.flow == Flow::WarpSync) {
              uint32_t wanted = members(w, i, m);
              if (m != wanted) {
                if (m != mask) w.groups.push_back({pc + 1, mask & ~m, false});
                w.groups.push_back({pc, m, true});
                join(w);
                break;
              }
            }
            i.run(w, i, m);
            for (uint32_t k = 0; k < i.target_count; ++k) w.written[i.d[k].index] |= m;
          }
        }
        ++pc;
        if (pc >= limit) {
          w.groups.push_back({pc, mask, false});
          break;
        }
      }
    }
  }

  // Parked lanes that together are complete run on.
  void join(Warp& w) {
    for (Group& g : w.groups) {
      if (!g.parked) continue;
      uint32_t all = 0;
      for (const Group& o : w.groups) all |= o.parked && o.pc == g.pc ? o.mask : 0;
      const Instruction& i = code_[g.pc];
      uint32_t wanted = i.flow == Flow::Barrier ? w.lanes : members(w, i, all);
      if (all != wanted) continue;
      uint32_t at = g.pc;
      for (Group& o : w.groups) o.parked = o.parked && o.pc != at;
    }
  }

  bool arrive(Warp& w, const Instruction& i, uint32_t pc, uint32_t mask, uint32_t m) {
    uint32_t lane = static_cast<uint32_t>(__builtin_ctz(m));
    if (m != mask)
      fault(w, i, lane, kLaunchFailed, "divergent barrier: its guard holds only for lanes " + lane_list(m));
    if (m != w.lanes) {
      if (w.live != w.lanes) {
        fault(w, i, lane, kLaunchFailed,
              "divergent barrier: lanes " + lane_list(w.lanes & ~w.live) + " of the warp have exited");
      }
      w.groups.push_back({pc, m, true});
      join(w);
      return false;
    }
    uint32_t id = lanes<uint32_t>(w, i.s[0])[lane];
    uint32_t count = i.source_count > 1 ? lanes<uint32_t>(w, i.s[1])[lane] : 0;
    each(m, [&](uint32_t l) {
      if (lanes<uint32_t>(w, i.s[0])[l] != id)
        fault(w, i, l, kLaunchFailed, "divergent barrier: lanes name different barriers");
    });
    if (id > 15 || count % kWarp != 0)
      fault(w, i, lane, kLaunchFailed, "bar.sync needs a barrier 0 to 15 and a multiple of 32 threads");
    w.groups.push_back({pc, m, false});
    w.state = Warp::AtBarrier;
    w.barrier = id;
    w.barrier_count = count;
    w.barrier_pc = pc;
    return true;
  }

  Block& block_;
  const Instruction* code_;
};

void fill_special(Warp& w, const SpecialRegister& s) {
  const Block& b = *w.block;
  uint32_t* out = lanes<uint32_t>(w, s.slot);
  for (uint32_t l = 0; l < kWarp; ++l) {
    uint32_t thread = w.index * kWarp + l;
    uint32_t x = b.shape.block[0];
    uint32_t y = b.shape.block[1];
    switch (s.kind) {
      case Special::TidX:
        out[l] = thread % x;
        break;
      case Special::TidY:
        out[l] = thread / x % y;
        break;
      case Special::TidZ:
        out[l] = thread / (x * y);
        break;
      case Special::NtidX:
        out[l] = x;
        break;
      case Special::NtidY:
        out[l] = y;
        break;
      case Special::NtidZ:
        out[l] = b.shape.block[2];
        break;
      case Special::CtaidX:
        out[l] = b.ctaid[0];
        break;
      case Special::CtaidY:
        out[l] = b.ctaid[1];
        break;
      case Special::CtaidZ:
        out[l] = b.ctaid[2];
        break;
      case Special::NctaidX:
        out[l] = b.shape.grid[0];
        break;
      case Special::NctaidY:
        out[l] = b.shape.grid[1];
        break;
      case Special::NctaidZ:
        out[l] = b.shape.grid[2];
        break;
      case Special::LaneId:
        out[l] = l;
        break;
      case Special::WarpId:
        out[l] = w.index;
        break;
      case Special::NWarpId:
        out[l] = 64;
        break;
      case Special::SmId:
        out[l] = 0;
        break;
      case Special::NSmId:
        out[l] = 1;
        break;
      case Special::GridId:
        lanes<uint64_t>(w, s.slot)[l] = 1;
        break;
      case Special::LaneMaskEq:
        out[l] = 1u << l;
        break;
      case Special::LaneMaskLt:
        out[l] = (1u << l) - 1;
        break;
      case Special::LaneMaskLe:
        out[l] = (2u << l) - 1;
        break;
      case Special::LaneMaskGt:
        out[l] = ~((2u << l) - 1);
        break;
      case Special::LaneMaskGe:
        out[l] = ~((1u << l) - 1);
        break;
      case Special::DynamicShared:
        out[l] = b.shape.dynamic_shared;
        break;
      case Special::TotalShared:
        out[l] = b.shared_bytes;
        break;
    }
  }
}

void fill_constant(Warp& w, const Constant& c) {
  if (c.bytes == 0) {
    predicate(w, c.slot) = static_cast<uint32_t>(c.bits);
    return;
  }
  for (uint32_t l = 0; l < kWarp; ++l) {
    switch (c.bytes) {
      case 2:
        lanes<uint16_t>(w, c.slot)[l] = static_cast<uint16_t>(c.bits);
        break;
      case 4:
        lanes<uint32_t>(w, c.slot)[l] = static_cast<uint32_t>(c.bits);
        break;
      default:
        lanes<uint64_t>(w, c.slot)[l] = c.bits;
        break;
    }
  }
}

}  // namespace

uint64_t instructions_executed() { return total_executed; }

std::string where(const Warp& w, const Instruction& i, uint32_t lane) {
  const Block& b = *w.block;
  uint32_t thread = w.index * kWarp + lane;
  uint32_t x = b.shape.block[0];
  uint32_t y = b.shape.block[1];
  std::ostringstream text;
  text << "kernel '" << b.kernel->name << "', line " << i.line;
  if (i.line >= 1 && static_cast<size_t>(i.line) <= b.kernel->source->size()) {
    std::string line = (*b.kernel->source)[static_cast<size_t>(i.line) - 1];
    size_t first = line.find_first_not_of(" \t");
    size_t last = line.find_last_not_of(" \t\r");
    if (first != std::string::npos) text << " `" << line.substr(first, last - first + 1) << "`";
  }
  text << ", block (" << b.ctaid[0] << "," << b.ctaid[1] << "," << b.ctaid[2] << "), thread (" << thread % x << ","
       << thread / x % y << "," << thread / (x * y) << ")";
  return text.str();
}

void fault(const Warp& w, const Instruction& i, uint32_t lane, Status status, const std::string& message) {
  throw Fault(status, where(w, i, lane) + ": " + message);
}

void execute(const Kernel& kernel, const LaunchShape& shape, const std::vector<uint8_t>& parameters) {
  Block block;
  block.kernel = &kernel;
  block.shape = shape;
  block.parameters = &parameters;
  block.threads = shape.block[0] * shape.block[1] * shape.block[2];
  block.shared_bytes = kernel.shared_bytes + shape.dynamic_shared;
  block.shared.resize(block.shared_bytes);
  block.shared_shadow.resize(block.shared_bytes);
  block.touches.resize(block.shared_bytes);
  block.local.resize(static_cast<size_t>(kernel.local_bytes) * ((block.threads + 31) / 32 * 32));
  block.local_shadow.resize(block.local.size());
  const uint32_t warps = (block.threads + kWarp - 1) / kWarp;
  const size_t stride = (kernel.register_bytes + 127) / 64 * 64;
  std::vector<uint8_t> storage(stride * warps + 64);
  std::vector<uint32_t> written(kernel.register_names.size() * warps);
  auto base = reinterpret_cast<uintptr_t>(storage.data());
  uint8_t* registers = storage.data() + (64 - base % 64) % 64;
  block.warps.resize(warps);
  for (uint32_t k = 0; k < warps; ++k) {
    Warp& w = block.warps[k];
    w.block = &block;
    w.index = k;
    w.registers = registers + stride * k;
    w.written = written.data() + kernel.register_names.size() * k;
    uint32_t count = std::min(kWarp, block.threads - k * kWarp);
    w.lanes = count == kWarp ? kAllLanes : (1u << count) - 1;
    for (const Constant& c : kernel.constants) fill_constant(w, c);
    for (const SpecialRegister& s : kernel.specials) fill_special(w, s);
  }
  static const bool backwards = environment_number("CUDASIM_REVERSE_BLOCKS", 0) != 0;
  const uint64_t blocks = static_cast<uint64_t>(shape.grid[0]) * shape.grid[1] * shape.grid[2];
  Runner runner(block);
  for (uint64_t k = 0; k < blocks; ++k) {
    uint64_t number = backwards ? blocks - 1 - k : k;
    block.ctaid[0] = static_cast<uint32_t>(number % shape.grid[0]);
    block.ctaid[1] = static_cast<uint32_t>(number / shape.grid[0] % shape.grid[1]);
    block.ctaid[2] = static_cast<uint32_t>(number / shape.grid[0] / shape.grid[1]);
    ++block.stamp;
    block.any_exited = false;
    block.executed = 0;
    std::fill(block.shared_shadow.begin(), block.shared_shadow.end(), uint8_t(0));
    std::fill(block.local_shadow.begin(), block.local_shadow.end(), uint8_t(0));
    std::fill(written.begin(), written.end(), 0u);
    for (Warp& w : block.warps) {
      w.written[0] = kAllLanes;
      w.live = w.lanes;
      w.groups.assign(1, Group{0, w.lanes, false});
      w.state = Warp::Ready;
      w.copies.clear();
      w.copy_group = 0;
      for (const SpecialRegister& s : kernel.specials) {
        if (s.kind >= Special::CtaidX && s.kind <= Special::CtaidZ) fill_special(w, s);
      }
    }
    runner.run_block();
    total_executed += block.executed;
  }
}

}  // namespace cudasim::ptx
