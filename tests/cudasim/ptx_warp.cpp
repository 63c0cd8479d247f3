// Instructions that lanes of a warp do together, and barriers of the block.
#include <algorithm>

#include "ptx_build.h"
#include "ptx_machine.h"

namespace cudasim::ptx {

namespace {

enum ShuffleMode : uint8_t { Up, Down, Butterfly, Index };

void shuffle(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t in[kWarp];
  std::copy_n(lanes<uint32_t>(w, i.s[0]), kWarp, in);
  uint32_t inside = 0;
  uint32_t out[kWarp];
  each(mask, [&](uint32_t l) {
    uint32_t by = lanes<uint32_t>(w, i.s[1])[l] & 31;
    uint32_t c = lanes<uint32_t>(w, i.s[2])[l];
    uint32_t segment = (c >> 8) & 31;
    uint32_t clamp = c & 31;
    uint32_t highest = (l & segment) | (clamp & ~segment);
    uint32_t lowest = l & segment;
    int32_t from = 0;
    bool in_range = false;
    switch (i.mode) {
      case Up:
        from = static_cast<int32_t>(l) - static_cast<int32_t>(by);
        in_range = from >= static_cast<int32_t>(highest);
        break;
      case Down:
        from = static_cast<int32_t>(l + by);
        in_range = from <= static_cast<int32_t>(highest);
        break;
      case Butterfly:
        from = static_cast<int32_t>(l ^ by);
        in_range = from <= static_cast<int32_t>(highest);
        break;
      default:
        from = static_cast<int32_t>(lowest | (by & ~segment));
        in_range = from <= static_cast<int32_t>(highest);
        break;
    }
    if (!in_range) from = static_cast<int32_t>(l);
    if (((mask >> from) & 1) == 0)
      fault(w, i, l, kLaunchFailed, "shfl from lane " + std::to_string(from) + ", which does not take part");
    out[l] = in[from];
    inside |= static_cast<uint32_t>(in_range) << l;
  });
  each(mask, [&](uint32_t l) { lanes<uint32_t>(w, i.d[0])[l] = out[l]; });
  if (i.target_count > 1) {
    uint32_t& p = predicate(w, i.d[1]);
    p = (p & ~mask) | inside;
  }
}

enum VoteMode : uint8_t { All, Any, Uniform, Ballot };

void vote(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t p = predicate(w, i.s[0]);
  if (i.mode2 != 0) p = ~p;
  p &= mask;
  if (i.mode == Ballot) {
    each(mask, [&](uint32_t l) { lanes<uint32_t>(w, i.d[0])[l] = p; });
    return;
  }
  bool result = i.mode == All ? p == mask : i.mode == Any ? p != 0 : p == mask || p == 0;
  uint32_t& d = predicate(w, i.d[0]);
  d = result ? d | mask : d & ~mask;
}

template <typename T>
void match_any(Warp& w, const Instruction& i, uint32_t mask) {
  const T* a = lanes<T>(w, i.s[0]);
  uint32_t out[kWarp] = {};
  each(mask, [&](uint32_t l) { each(mask, [&](uint32_t o) { out[l] |= static_cast<uint32_t>(a[l] == a[o]) << o; }); });
  each(mask, [&](uint32_t l) { lanes<uint32_t>(w, i.d[0])[l] = out[l]; });
}

enum ReduxMode : uint8_t { ReduxAdd, ReduxMin, ReduxMax, ReduxAnd, ReduxOr, ReduxXor };

template <typename T>
void redux(Warp& w, const Instruction& i, uint32_t mask) {
  const T* a = lanes<T>(w, i.s[0]);
  T r = a[__builtin_ctz(mask)];
  bool first = true;
  each(mask, [&](uint32_t l) {
    if (first) {
      first = false;
      return;
    }
    switch (i.mode) {
      case ReduxAdd:
        r = static_cast<T>(static_cast<uint32_t>(r) + static_cast<uint32_t>(a[l]));
        break;
      case ReduxMin:
        r = std::min(r, a[l]);
        break;
      case ReduxMax:
        r = std::max(r, a[l]);
        break;
      case ReduxAnd:
        r = r & a[l];
        break;
      case ReduxOr:
        r = r | a[l];
        break;
      default:
        r = r ^ a[l];
        break;
    }
  });
  each(mask, [&](uint32_t l) { lanes<T>(w, i.d[0])[l] = r; });
}

void active_mask(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) { lanes<uint32_t>(w, i.d[0])[l] = mask; });
}

void warp_barrier(Warp& w, const Instruction&, uint32_t) { ++w.stamp; }

void clock32(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) { lanes<uint32_t>(w, i.d[0])[l] = static_cast<uint32_t>(w.block->executed); });
}
void clock64(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) { lanes<uint64_t>(w, i.d[0])[l] = w.block->executed; });
}

void trap(Warp& w, const Instruction& i, uint32_t mask) {
  fault(w, i, static_cast<uint32_t>(__builtin_ctz(mask)), kLaunchFailed, "trap");
}
void nothing(Warp&, const Instruction&, uint32_t) {}

void member(Builder& b, const Operand& o) {
  b.i.flow = Flow::WarpSync;
  b.i.member_source = b.i.source_count;
  b.add_source(o, Type::B32);
}

}  // namespace

bool build_warp(Builder& b) {
  const std::string& name = b.statement->name;
  Instruction& i = b.i;
  auto done = [&] {
    if (i.run == nullptr) b.fail("'" + name + "' does not exist in this form");
    b.finish();
    return true;
  };
  if (name == "shfl") {
    if (!b.take("sync")) b.fail("shfl without .sync is gone since sm_70");
    i.mode = b.take("up") ? Up : b.take("down") ? Down : b.take("bfly") ? Butterfly : b.take("idx") ? Index : 255;
    if (i.mode == 255) b.fail("shfl needs .up, .down, .bfly or .idx");
    if (b.take_type() != Type::B32) b.fail("shfl needs .b32");
    b.operands(5);
    const Operand& to = b.operand(0);
    if (to.kind == Operand::Pair) {
      b.add_target(to.parts[0], Type::B32);
      b.add_target(to.parts[1], Type::Pred);
    } else {
      b.add_target(to, Type::B32);
    }
    b.add_source(b.operand(1), Type::B32);
    b.add_source(b.operand(2), Type::B32);
    b.add_source(b.operand(3), Type::B32);
    member(b, b.operand(4));
    i.run = &shuffle;
    return done();
  }
  if (name == "vote") {
    if (!b.take("sync")) b.fail("vote without .sync is gone since sm_70");
    i.mode = b.take("all") ? All : b.take("any") ? Any : b.take("uni") ? Uniform : b.take("ballot") ? Ballot : 255;
    if (i.mode == 255) b.fail("vote needs .all, .any, .uni or .ballot");
    Type type = b.take_type();
    if ((i.mode == Ballot) != (type == Type::B32)) b.fail("vote.ballot needs .b32, the others .pred");
    b.operands(3);
    b.add_target(b.operand(0), type);
    Operand p = b.operand(1);
    i.mode2 = p.negated ? 1 : 0;
    p.negated = false;
    b.add_source(p, Type::Pred);
    member(b, b.operand(2));
    i.run = &vote;
    return done();
  }
  if (name == "match") {
    if (!b.take("any") || !b.take("sync")) b.fail("only match.any.sync is simulated");
    Type type = b.take_type();
    b.operands(3);
    b.add_target(b.operand(0), Type::B32);
    b.add_source(b.operand(1), type);
    member(b, b.operand(2));
    i.run = type == Type::B32 ? &match_any<uint32_t> : type == Type::B64 ? &match_any<uint64_t> : nullptr;
    return done();
  }
  if (name == "redux") {
    b.require(80, 70, "redux.sync");
    if (!b.take("sync")) b.fail("redux needs .sync");
    static const char* const ops[] = {"add", "min", "max", "and", "or", "xor"};
    i.mode = 255;
    for (uint8_t k = 0; k < 6; ++k) {
      if (i.mode == 255 && b.take(ops[k])) i.mode = k;
    }
    if (i.mode == 255) b.fail("redux without an operation");
    Type type = b.take_type();
    if ((i.mode >= ReduxAnd) != (type == Type::B32)) b.fail("redux: logic takes .b32, arithmetic .u32 or .s32");
    b.operands(3);
    b.add_target(b.operand(0), type);
    b.add_source(b.operand(1), type);
    member(b, b.operand(2));
    i.run = type == Type::S32 ? &redux<int32_t> : type == Type::U32 || type == Type::B32 ? &redux<uint32_t> : nullptr;
    return done();
  }
  if (name == "activemask") {
    b.take_type();
    b.operands(1);
    b.add_target(b.operand(0), Type::B32);
    i.run = &active_mask;
    return done();
  }
  if (name == "bar" || name == "barrier") {
    b.ignore({"cta"});
    bool aligned = name == "bar" || b.take("aligned");
    (void)aligned;
    if (b.take("warp")) {
      if (!b.take("sync")) b.fail("bar.warp needs .sync");
      b.operands(1);
      member(b, b.operand(0));
      i.run = &warp_barrier;
      return done();
    }
    if (!b.take("sync")) b.fail("only bar.sync and bar.warp.sync are simulated");
    b.operands(1, 2);
    i.flow = Flow::Barrier;
    b.add_source(b.operand(0), Type::U32);
    if (b.statement->operands.size() > 1) b.add_source(b.operand(1), Type::U32);
    i.run = &nothing;
    return done();
  }
  if (name == "mov" && b.statement->operands.size() == 2) {
    const std::string& from = b.operand(1).text;
    if (from == "%clock" || from == "%clock64" || from == "%globaltimer") {
      Type type = b.take_type();
      b.add_target(b.operand(0), type);
      i.run = size_of(type) == 8 ? &clock64 : size_of(type) == 4 ? &clock32 : nullptr;
      return done();
    }
    return false;
  }
  if (name == "trap") {
    b.operands(0);
    i.run = &trap;
    return done();
  }
  if (name == "nanosleep" || name == "griddepcontrol" || name == "pmevent" || name == "setmaxnreg") {
    b.modifiers.clear();
    i.run = &nothing;
    return true;
  }
  return false;
}

}  // namespace cudasim::ptx
