// Loads, stores and atomics in every state space, with the checks that make the interpreter worth having.
#include <algorithm>
#include <sstream>
#include <type_traits>

#include "ptx_build.h"
#include "ptx_float.h"
#include "ptx_machine.h"

namespace cudasim::ptx {

namespace {

enum class Kind { Load, Store, Atomic };

[[noreturn]] void misaligned(Warp& w, const Instruction& i, uint32_t lane, uint64_t address, uint32_t bytes) {
  std::ostringstream text;
  text << "address 0x" << std::hex << address << std::dec << " is not a multiple of " << bytes;
  fault(w, i, lane, kMisalignedAddress, text.str());
}

[[noreturn]] void race(Warp& w, const Instruction& i, uint32_t lane, uint32_t offset, const char* mine,
                       const char* other, uint32_t thread) {
  std::ostringstream text;
  text << mine << " shared byte " << offset << " that thread " << thread << " " << other << " with no barrier between";
  fault(w, i, lane, kLaunchFailed, "race: " + text.str());
}

// Two threads are ordered by a block barrier, or within a warp by bar.warp.sync.
bool ordered(const Warp& w, uint32_t block_stamp, uint32_t warp_stamp, uint32_t other) {
  if (block_stamp != w.block->stamp) return true;
  return other / kWarp == w.index && warp_stamp != w.stamp;
}

void touch(Warp& w, const Instruction& i, uint32_t lane, uint32_t offset, uint32_t bytes, Kind kind) {
  Block& b = *w.block;
  uint32_t thread = w.index * kWarp + lane;
  for (uint32_t k = offset; k < offset + bytes; ++k) {
    Touch& t = b.touches[k];
    bool atomic = kind == Kind::Atomic;
    if (t.write_block == b.stamp && t.writer != thread && !(atomic && t.write_atomic) &&
        !ordered(w, t.write_block, t.write_warp, t.writer)) {
      race(w, i, lane, k, kind == Kind::Load ? "reads" : "writes", "wrote", t.writer);
    }
    if (kind == Kind::Load) {
      if (t.read_block != b.stamp) {
        t.read_block = b.stamp;
        t.lanes_read = t.warps_read = false;
      } else if (t.reader / kWarp != w.index) {
        t.warps_read = true;
      } else if (t.read_warp != w.stamp) {
        t.lanes_read = false;
      } else if (t.reader != thread) {
        t.lanes_read = true;
      }
      t.read_warp = w.stamp;
      t.reader = static_cast<uint16_t>(thread);
    } else {
      if (t.read_block == b.stamp) {
        bool same_warp_only = t.reader / kWarp == w.index && !t.warps_read;
        bool hazard = t.warps_read || (same_warp_only ? (t.lanes_read || t.reader != thread) && t.read_warp == w.stamp
                                                      : t.reader != thread);
        if (hazard) race(w, i, lane, k, "writes", "read", t.reader);
      }
      t.write_block = b.stamp;
      t.write_warp = w.stamp;
      t.writer = static_cast<uint16_t>(thread);
      t.write_atomic = atomic;
    }
  }
}

uint8_t* shared_bytes(Warp& w, const Instruction& i, uint32_t lane, uint64_t address, uint32_t bytes, Kind kind) {
  Block& b = *w.block;
  uint64_t offset = address - kSharedBase;
  if (address % bytes != 0) misaligned(w, i, lane, address, bytes);
  if (address < kSharedBase || offset + bytes > b.shared_bytes) {
    std::ostringstream text;
    text << (kind == Kind::Load ? "reads " : "writes ") << bytes << " bytes at shared offset "
         << static_cast<int64_t>(offset) << "; the block has " << b.shared_bytes << " bytes of shared memory";
    fault(w, i, lane, kIllegalAddress, text.str());
  }
  uint8_t* shadow = b.shared_shadow.data() + offset;
  if (kind != Kind::Store) {
    for (uint32_t k = 0; k < bytes; ++k) {
      if (shadow[k] == 0)
        fault(w, i, lane, kLaunchFailed, "reads shared byte " + std::to_string(offset + k) + ", which nothing wrote");
    }
  }
  if (kind != Kind::Load) std::memset(shadow, 1, bytes);
  touch(w, i, lane, static_cast<uint32_t>(offset), bytes, kind);
  return b.shared.data() + offset;
}

uint8_t* local_bytes(Warp& w, const Instruction& i, uint32_t lane, uint64_t address, uint32_t bytes, Kind kind) {
  Block& b = *w.block;
  uint64_t size = b.kernel->local_bytes;
  if (address % bytes != 0) misaligned(w, i, lane, address, bytes);
  if (address + bytes > size || address + bytes < address) {
    fault(w, i, lane, kIllegalAddress,
          "local offset " + std::to_string(address) + " of " + std::to_string(size) + " bytes");
  }
  uint64_t at = (w.index * kWarp + lane) * size + address;
  uint8_t* shadow = b.local_shadow.data() + at;
  if (kind != Kind::Store) {
    for (uint32_t k = 0; k < bytes; ++k) {
      if (shadow[k] == 0)
        fault(w, i, lane, kLaunchFailed, "reads local byte " + std::to_string(address + k) + ", which nothing wrote");
    }
  }
  if (kind != Kind::Load) std::memset(shadow, 1, bytes);
  return b.local.data() + at;
}

template <uint32_t N, Kind K>
uint8_t* global_bytes(Warp& w, const Instruction& i, uint32_t lane, uint64_t address) {
  if (address % N != 0) misaligned(w, i, lane, address, N);
  if constexpr (K == Kind::Store) {
    uint8_t* p = memory::writable<N>(address);
    if (p == nullptr) memory::fault(address, N, false, where(w, i, lane));
    return p;
  } else {
    const uint8_t* p = memory::readable<N>(address);
    if (p == nullptr) memory::fault(address, N, true, where(w, i, lane));
    return const_cast<uint8_t*>(p);
  }
}

template <Space S, uint32_t N, Kind K>
uint8_t* bytes_at(Warp& w, const Instruction& i, uint32_t lane, uint64_t address) {
  if constexpr (S == Space::Global || S == Space::Const) {
    return global_bytes<N, K>(w, i, lane, address);
  } else if constexpr (S == Space::Shared) {
    return shared_bytes(w, i, lane, address, N, K);
  } else if constexpr (S == Space::Local) {
    return local_bytes(w, i, lane, address, N, K);
  } else if constexpr (S == Space::Param) {
    const auto& parameters = *w.block->parameters;
    if (address % N != 0) misaligned(w, i, lane, address, N);
    if (address + N > parameters.size() || address + N < address) {
      fault(w, i, lane, kIllegalAddress,
            "reads " + std::to_string(N) + " bytes at parameter offset " + std::to_string(address) + " of " +
                std::to_string(parameters.size()));
    }
    return const_cast<uint8_t*>(parameters.data() + address);
  } else {
    uint64_t window = address & kWindowMask;
    if (window == kSharedWindow) return shared_bytes(w, i, lane, address & ~kWindowMask, N, K);
    if (window == kLocalWindow) return local_bytes(w, i, lane, address & ~kWindowMask, N, K);
    return global_bytes<N, K>(w, i, lane, address);
  }
}

template <uint32_t N>
struct Raw;
template <>
struct Raw<1> {
  using type = uint8_t;
  using extended = int8_t;
};
template <>
struct Raw<2> {
  using type = uint16_t;
  using extended = int16_t;
};
template <>
struct Raw<4> {
  using type = uint32_t;
  using extended = int32_t;
};
template <>
struct Raw<8> {
  using type = uint64_t;
  using extended = int64_t;
};

template <uint32_t N>
void check_vector(Warp& w, const Instruction& i, uint32_t lane, uint64_t address) {
  if (i.vector > 1 && address % (N * i.vector) != 0) misaligned(w, i, lane, address, N * i.vector);
}

// N bytes in memory into registers of R bytes.
template <Space S, uint32_t N, uint32_t R, bool Signed>
void load(Warp& w, const Instruction& i, uint32_t mask) {
  using In = std::conditional_t<Signed, typename Raw<N>::extended, typename Raw<N>::type>;
  using Out = std::conditional_t<Signed, typename Raw<R>::extended, typename Raw<R>::type>;
  each(mask, [&](uint32_t l) {
    uint64_t address = address_of(w, i, l);
    check_vector<N>(w, i, l, address);
    for (uint32_t k = 0; k < i.vector; ++k) {
      In v;
      std::memcpy(&v, bytes_at<S, N, Kind::Load>(w, i, l, address + N * k), N);
      lanes<Out>(w, i.d[k])[l] = static_cast<Out>(v);
    }
  });
}

template <Space S, uint32_t N, uint32_t R>
void store(Warp& w, const Instruction& i, uint32_t mask) {
  using In = typename Raw<R>::type;
  using Out = typename Raw<N>::type;
  each(mask, [&](uint32_t l) {
    uint64_t address = address_of(w, i, l);
    check_vector<N>(w, i, l, address);
    for (uint32_t k = 0; k < i.vector; ++k) {
      auto v = static_cast<Out>(lanes<In>(w, i.s[1 + k])[l]);
      std::memcpy(bytes_at<S, N, Kind::Store>(w, i, l, address + N * k), &v, N);
    }
  });
}

template <Space S, uint32_t N, uint32_t R>
Handler access_of(bool is_load, bool sign) {
  if constexpr (R < N || (R == 2 && N == 4)) {
    return nullptr;
  } else {
    if (!is_load) return &store<S, N, R>;
    return sign && R > N ? &load<S, N, R, true> : &load<S, N, R, false>;
  }
}
template <Space S, uint32_t N>
Handler access_of(uint32_t reg, bool is_load, bool sign) {
  return reg == 2   ? access_of<S, N, 2>(is_load, sign)
         : reg == 4 ? access_of<S, N, 4>(is_load, sign)
                    : access_of<S, N, 8>(is_load, sign);
}
template <Space S>
Handler access_of(uint32_t bytes, uint32_t reg, bool is_load, bool sign) {
  switch (bytes) {
    case 1:
      return access_of<S, 1>(reg, is_load, sign);
    case 2:
      return access_of<S, 2>(reg, is_load, sign);
    case 4:
      return access_of<S, 4>(reg, is_load, sign);
    default:
      return access_of<S, 8>(reg, is_load, sign);
  }
}
Handler access_of(Space space, uint32_t bytes, uint32_t reg, bool is_load, bool sign) {
  switch (space) {
    case Space::Global:
      return access_of<Space::Global>(bytes, reg, is_load, sign);
    case Space::Const:
      return access_of<Space::Const>(bytes, reg, is_load, sign);
    case Space::Shared:
      return access_of<Space::Shared>(bytes, reg, is_load, sign);
    case Space::Local:
      return access_of<Space::Local>(bytes, reg, is_load, sign);
    case Space::Param:
      return access_of<Space::Param>(bytes, reg, is_load, sign);
    default:
      return access_of<Space::Generic>(bytes, reg, is_load, sign);
  }
}

enum class AtomicOp : uint8_t { Add, Min, Max, And, Or, Xor, Exch, Cas, Inc, Dec };

template <AtomicOp O, typename T>
T combine(T old, T b, T c) {
  (void)c;
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>) {
    return from_double<T>(static_cast<double>(value(old)) + value(b), Round::Nearest);
  } else if constexpr (std::is_floating_point_v<T>) {
    if constexpr (O == AtomicOp::Exch) return b;
    return old + b;
  } else {
    switch (O) {
      case AtomicOp::Add:
        return static_cast<T>(static_cast<uint64_t>(old) + static_cast<uint64_t>(b));
      case AtomicOp::Min:
        return std::min(old, b);
      case AtomicOp::Max:
        return std::max(old, b);
      case AtomicOp::And:
        return old & b;
      case AtomicOp::Or:
        return old | b;
      case AtomicOp::Xor:
        return old ^ b;
      case AtomicOp::Exch:
        return b;
      case AtomicOp::Cas:
        return old == b ? c : old;
      case AtomicOp::Inc:
        return old >= b ? T(0) : static_cast<T>(old + 1);
      case AtomicOp::Dec:
        return old == 0 || old > b ? b : static_cast<T>(old - 1);
    }
    return old;
  }
}

template <Space S, AtomicOp O, typename T>
void atomic(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) {
    uint64_t address = address_of(w, i, l);
    uint8_t* p = bytes_at<S, sizeof(T), Kind::Atomic>(w, i, l, address);
    T old;
    std::memcpy(&old, p, sizeof old);
    T b = lanes<T>(w, i.s[1])[l];
    T c = b;
    if constexpr (O == AtomicOp::Cas) c = lanes<T>(w, i.s[2])[l];
    T result = combine<O>(old, b, c);
    std::memcpy(p, &result, sizeof result);
    if (i.target_count > 0) lanes<T>(w, i.d[0])[l] = old;
  });
}
template <AtomicOp O, typename T>
Handler atomic_in(Space space) {
  return space == Space::Global   ? &atomic<Space::Global, O, T>
         : space == Space::Shared ? &atomic<Space::Shared, O, T>
                                  : &atomic<Space::Generic, O, T>;
}

Handler atomic_of(Space space, AtomicOp op, Type type) {
  switch (op) {
    case AtomicOp::Add:
      switch (type) {
        case Type::U32:
          return atomic_in<AtomicOp::Add, uint32_t>(space);
        case Type::S32:
          return atomic_in<AtomicOp::Add, int32_t>(space);
        case Type::U64:
          return atomic_in<AtomicOp::Add, uint64_t>(space);
        case Type::F32:
          return atomic_in<AtomicOp::Add, float>(space);
        case Type::F64:
          return atomic_in<AtomicOp::Add, double>(space);
        case Type::F16:
          return atomic_in<AtomicOp::Add, Half>(space);
        case Type::BF16:
          return atomic_in<AtomicOp::Add, Bfloat>(space);
        default:
          return nullptr;
      }
    case AtomicOp::Min:
    case AtomicOp::Max: {
      bool least = op == AtomicOp::Min;
      switch (type) {
        case Type::U32:
          return least ? atomic_in<AtomicOp::Min, uint32_t>(space) : atomic_in<AtomicOp::Max, uint32_t>(space);
        case Type::S32:
          return least ? atomic_in<AtomicOp::Min, int32_t>(space) : atomic_in<AtomicOp::Max, int32_t>(space);
        case Type::U64:
          return least ? atomic_in<AtomicOp::Min, uint64_t>(space) : atomic_in<AtomicOp::Max, uint64_t>(space);
        case Type::S64:
          return least ? atomic_in<AtomicOp::Min, int64_t>(space) : atomic_in<AtomicOp::Max, int64_t>(space);
        default:
          return nullptr;
      }
    }
    case AtomicOp::And:
      return type == Type::B32   ? atomic_in<AtomicOp::And, uint32_t>(space)
             : type == Type::B64 ? atomic_in<AtomicOp::And, uint64_t>(space)
                                 : nullptr;
    case AtomicOp::Or:
      return type == Type::B32   ? atomic_in<AtomicOp::Or, uint32_t>(space)
             : type == Type::B64 ? atomic_in<AtomicOp::Or, uint64_t>(space)
                                 : nullptr;
    case AtomicOp::Xor:
      return type == Type::B32   ? atomic_in<AtomicOp::Xor, uint32_t>(space)
             : type == Type::B64 ? atomic_in<AtomicOp::Xor, uint64_t>(space)
                                 : nullptr;
    case AtomicOp::Exch:
      return type == Type::B32   ? atomic_in<AtomicOp::Exch, uint32_t>(space)
             : type == Type::B64 ? atomic_in<AtomicOp::Exch, uint64_t>(space)
                                 : nullptr;
    case AtomicOp::Cas:
      return type == Type::B32   ? atomic_in<AtomicOp::Cas, uint32_t>(space)
             : type == Type::B64 ? atomic_in<AtomicOp::Cas, uint64_t>(space)
                                 : nullptr;
    case AtomicOp::Inc:
      return type == Type::U32 ? atomic_in<AtomicOp::Inc, uint32_t>(space) : nullptr;
    case AtomicOp::Dec:
      return type == Type::U32 ? atomic_in<AtomicOp::Dec, uint32_t>(space) : nullptr;
  }
  return nullptr;
}

void nothing(Warp&, const Instruction&, uint32_t) {}

// cp.async writes shared memory only when its group is waited for: a kernel that forgets to wait reads bytes nothing
// wrote.
void copy_async(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) {
    uint64_t to = i.base_is_64 ? lanes<uint64_t>(w, i.s[0])[l] : lanes<uint32_t>(w, i.s[0])[l];
    uint64_t from = lanes<uint64_t>(w, i.s[1])[l];
    uint32_t bytes = i.vector;
    uint32_t read = i.source_count > 2 ? lanes<uint32_t>(w, i.s[2])[l] : bytes;
    to += static_cast<uint64_t>(i.immediate);
    if (to % bytes != 0) misaligned(w, i, l, to, bytes);
    if (from % bytes != 0) misaligned(w, i, l, from, bytes);
    if (read > bytes) fault(w, i, l, kLaunchFailed, "cp.async reads more than it writes");
    w.copies.push_back({l, from, static_cast<uint32_t>(to), bytes, read, w.copy_group});
  });
}
void commit_group(Warp& w, const Instruction&, uint32_t) { ++w.copy_group; }
// immediate: groups that may stay open; -1: everything, committed or not
void wait_group(Warp& w, const Instruction& i, uint32_t mask) {
  std::vector<PendingCopy> left;
  for (const PendingCopy& c : w.copies) {
    bool due = i.immediate < 0 || static_cast<int64_t>(c.group) + i.immediate < static_cast<int64_t>(w.copy_group);
    if (!due || ((mask >> c.lane) & 1) == 0) {
      left.push_back(c);
      continue;
    }
    uint8_t buffer[16] = {};
    for (uint32_t k = 0; k < c.read_bytes; ++k) {
      const uint8_t* p = memory::readable<1>(c.from + k);
      if (p == nullptr) memory::fault(c.from + k, 1, true, where(w, i, c.lane));
      buffer[k] = *p;
    }
    std::memcpy(shared_bytes(w, i, c.lane, c.to, c.bytes, Kind::Store), buffer, c.bytes);
  }
  w.copies = std::move(left);
}

Space take_space(Builder& b) {
  if (b.take("global")) return Space::Global;
  if (b.take("shared") || b.take("shared::cta")) return Space::Shared;
  if (b.take("local")) return Space::Local;
  if (b.take("const")) return Space::Const;
  if (b.take("param")) return Space::Param;
  return Space::Generic;
}

void build_load_store(Builder& b, bool is_load) {
  Instruction& i = b.i;
  Space space = take_space(b);
  bool vector2 = b.take("v2");
  bool vector4 = !vector2 && b.take("v4");
  bool read_only = b.take("nc");
  if (read_only && (!is_load || space != Space::Global)) b.fail(".nc is for ld.global");
  if (b.take("volatile") && space == Space::Const) b.fail(".volatile does not exist for .const");
  b.ignore({"ca",
            "cg",
            "cs",
            "lu",
            "cv",
            "wb",
            "wt",
            "weak",
            "relaxed",
            "acquire",
            "release",
            "cta",
            "cluster",
            "gpu",
            "sys",
            "L1::evict_normal",
            "L1::evict_unchanged",
            "L1::evict_first",
            "L1::evict_last",
            "L1::no_allocate",
            "L2::evict_last",
            "L2::evict_normal",
            "L2::evict_first",
            "L2::64B",
            "L2::128B",
            "L2::256B"});
  Type type = b.take_type();
  b.operands(2);
  i.vector = vector2 ? 2 : vector4 ? 4 : 1;
  uint32_t bytes = size_of(type);
  if (bytes * i.vector > 16) b.fail("an access of more than 16 bytes");
  if (type == Type::Pred || type == Type::F16x2 || type == Type::BF16x2 || type == Type::F16 || type == Type::BF16) {
    b.fail(std::string("ld and st take no .") + name_of(type));
  }
  const Operand& where_ = b.operand(is_load ? 1 : 0);
  const Operand& what = b.operand(is_load ? 0 : 1);
  if (where_.kind != Operand::Address) b.fail("an address in [ ] expected");
  b.address(where_, &space, bytes * i.vector);
  if (!is_load && (space == Space::Const || space == Space::Param)) b.fail("this state space cannot be written");
  std::vector<Operand> parts;
  if (i.vector == 1) {
    parts.push_back(what);
  } else {
    if (what.kind != Operand::Vector || what.parts.size() != i.vector)
      b.fail("a vector of " + std::to_string(i.vector) + " expected");
    parts = what.parts;
  }
  uint32_t reg = 0;
  for (const Operand& part : parts) {
    uint32_t width = 0;
    if (is_load) {
      b.add_target(part, type, &width);
    } else {
      b.add_source(part, type, &width);
    }
    if (reg != 0 && width != reg) b.fail("registers of different width in one vector");
    reg = width;
  }
  i.run = access_of(space, bytes, reg, is_load, is_signed(type));
  if (i.run == nullptr) b.fail("a register too small for this access");
}

}  // namespace

bool build_access(Builder& b) {
  const std::string& name = b.statement->name;
  Instruction& i = b.i;
  if (name == "ld" || name == "ldu" || name == "st") {
    build_load_store(b, name != "st");
    b.finish();
    return true;
  }
  if (name == "atom" || name == "red") {
    Space space = take_space(b);
    if (space != Space::Global && space != Space::Shared && space != Space::Generic)
      b.fail("atomics are for .global and .shared");
    b.ignore({"relaxed", "acquire", "release", "acq_rel", "cta", "gpu", "sys", "cluster", "noftz"});
    static const struct {
      const char* name;
      AtomicOp op;
    } ops[] = {{"add", AtomicOp::Add}, {"min", AtomicOp::Min}, {"max", AtomicOp::Max},   {"and", AtomicOp::And},
               {"or", AtomicOp::Or},   {"xor", AtomicOp::Xor}, {"exch", AtomicOp::Exch}, {"cas", AtomicOp::Cas},
               {"inc", AtomicOp::Inc}, {"dec", AtomicOp::Dec}};
    bool found = false;
    AtomicOp op = AtomicOp::Add;
    for (const auto& o : ops) {
      if (!found && b.take(o.name)) {
        op = o.op;
        found = true;
      }
    }
    if (!found) b.fail(name + " without an operation");
    Type type = b.take_type();
    bool is_atom = name == "atom";
    if (!is_atom && (op == AtomicOp::Exch || op == AtomicOp::Cas)) b.fail("red has no such operation");
    size_t first = is_atom ? 1 : 0;
    b.operands(first + (op == AtomicOp::Cas ? 3 : 2));
    if (is_atom) b.add_target(b.operand(0), type);
    if (b.operand(first).kind != Operand::Address) b.fail("an address in [ ] expected");
    b.address(b.operand(first), &space, size_of(type));
    b.add_source(b.operand(first + 1), type);
    if (op == AtomicOp::Cas) b.add_source(b.operand(first + 2), type);
    i.run = atomic_of(space, op, type);
    if (i.run == nullptr) b.fail("'" + name + "' does not exist for this type");
    b.finish();
    return true;
  }
  if (name == "membar" || name == "fence") {
    b.ignore({"cta", "gl", "sys", "gpu", "cluster", "sc", "acq_rel", "proxy", "async"});
    b.operands(0);
    i.run = &nothing;
    b.finish();
    return true;
  }
  if (name == "prefetch" || name == "prefetchu" || name == "discard" || name == "applypriority") {
    b.modifiers.clear();
    i.run = &nothing;
    return true;
  }
  if (name == "cp" && b.take("async")) {
    b.require(80, 70, "cp.async");
    if (b.take("commit_group")) {
      b.operands(0);
      i.run = &commit_group;
    } else if (b.take("wait_all")) {
      b.operands(0);
      i.immediate = -1;
      i.run = &wait_group;
    } else if (b.take("wait_group")) {
      b.operands(1);
      i.immediate = static_cast<int64_t>(b.operand(0).bits);
      i.run = &wait_group;
    } else {
      bool cg = b.take("cg");
      if (!cg && !b.take("ca")) b.fail("cp.async needs .ca or .cg");
      if (!(b.take("shared") || b.take("shared::cta")) || !b.take("global"))
        b.fail("cp.async copies from .global to .shared");
      b.ignore({"L2::64B", "L2::128B", "L2::256B"});
      b.operands(3, 4);
      uint64_t bytes = b.operand(2).bits;
      if (b.operand(2).kind != Operand::Integer || (bytes != 4 && bytes != 8 && bytes != 16) || (cg && bytes != 16)) {
        b.fail("cp.async copies 4, 8 or 16 bytes, .cg 16");
      }
      Space to = Space::Shared;
      Space from = Space::Global;
      if (b.operand(1).offset != 0) b.fail("an offset on the global address of cp.async is not simulated");
      b.address(b.operand(1), &from, static_cast<uint32_t>(bytes));
      if (!i.base_is_64) b.fail("a global address has 64 bits");
      Slot global = i.s[0];
      i.source_count = 0;
      b.address(b.operand(0), &to, static_cast<uint32_t>(bytes));
      i.s[1] = global;
      i.source_count = 2;
      if (b.statement->operands.size() > 3) b.add_source(b.operand(3), Type::U32);
      i.vector = static_cast<uint8_t>(bytes);
      i.run = &copy_async;
    }
    b.finish();
    return true;
  }
  return false;
}

}  // namespace cudasim::ptx
