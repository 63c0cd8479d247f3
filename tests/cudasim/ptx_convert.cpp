// cvt and cvta.
#include <limits>
#include <type_traits>

#include "ptx_build.h"
#include "ptx_float.h"
#include "ptx_machine.h"

namespace cudasim::ptx {

namespace {

uint64_t read_raw(Warp& w, Slot s, uint32_t bytes, uint32_t lane) {
  switch (bytes) {
    case 2:
      return lanes<uint16_t>(w, s)[lane];
    case 4:
      return lanes<uint32_t>(w, s)[lane];
    default:
      return lanes<uint64_t>(w, s)[lane];
  }
}
void write_raw(Warp& w, Slot s, uint32_t bytes, uint32_t lane, uint64_t v) {
  switch (bytes) {
    case 2:
      lanes<uint16_t>(w, s)[lane] = static_cast<uint16_t>(v);
      break;
    case 4:
      lanes<uint32_t>(w, s)[lane] = static_cast<uint32_t>(v);
      break;
    default:
      lanes<uint64_t>(w, s)[lane] = v;
      break;
  }
}

template <typename T>
constexpr bool narrow_float_type = std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>;
template <typename T>
constexpr bool float_type = std::is_floating_point_v<T> || narrow_float_type<T>;

template <typename T>
T from_raw(uint64_t raw) {
  if constexpr (sizeof(T) == 8) {
    return bit_cast<T>(raw);
  } else if constexpr (sizeof(T) == 4) {
    return bit_cast<T>(static_cast<uint32_t>(raw));
  } else if constexpr (sizeof(T) == 2) {
    return bit_cast<T>(static_cast<uint16_t>(raw));
  } else {
    return static_cast<T>(static_cast<uint8_t>(raw));
  }
}
// Signed integers extend their sign into a wider register.
template <typename T>
uint64_t to_raw(T v) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<uint64_t>(static_cast<int64_t>(v));
  } else if constexpr (sizeof(T) == 8) {
    return bit_cast<uint64_t>(v);
  } else if constexpr (sizeof(T) == 4) {
    return bit_cast<uint32_t>(v);
  } else {
    return v.bits;
  }
}
template <>
uint64_t to_raw<uint64_t>(uint64_t v) {
  return v;
}

double round_integral(double x, Round round) {
  switch (round) {
    case Round::IntNearest:
      return std::nearbyint(x);
    case Round::IntZero:
      return std::trunc(x);
    case Round::IntDown:
      return std::floor(x);
    case Round::IntUp:
      return std::ceil(x);
    default:
      return x;
  }
}

template <typename D, typename S>
D convert_value(S s, const Instruction& i) {
  auto round = static_cast<Round>(i.mode);
  if constexpr (!float_type<D> && !float_type<S>) {
    if (i.saturate) {
      __extension__ using Wide = __int128;
      auto v = static_cast<Wide>(s);
      auto low = static_cast<Wide>(std::numeric_limits<D>::min());
      auto high = static_cast<Wide>(std::numeric_limits<D>::max());
      return static_cast<D>(v < low ? low : v > high ? high : v);
    }
    return static_cast<D>(s);
  } else if constexpr (!float_type<D>) {
    double v = value(s);
    if constexpr (std::is_same_v<S, float>) {
      if (i.flush) v = flush(s);
    }
    if (v != v) return 0;
    v = round_integral(v, round);
    if (v <= static_cast<double>(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
    if (v >= static_cast<double>(std::numeric_limits<D>::max())) return std::numeric_limits<D>::max();
    return static_cast<D>(v);
  } else if constexpr (!float_type<S>) {
    if constexpr (std::is_same_v<D, float> && sizeof(S) == 8) {
      if (round == Round::Nearest) return static_cast<float>(s);  // through double it would be rounded twice
    }
    return from_double<D>(static_cast<double>(s), round);
  } else {
    double v = value(s);
    if constexpr (std::is_same_v<S, float>) {
      if (i.flush) v = flush(s);
    }
    if (round >= Round::IntNearest) v = round_integral(v, round);
    if (i.saturate) v = v > 0 ? (v < 1 ? v : 1) : 0;
    if (i.mode2 == 1 && !(v > 0)) v = v != v ? v : 0;
    D d = from_double<D>(v, round);
    if constexpr (std::is_same_v<D, float>) {
      if (i.flush) d = flush(d);
    }
    return d;
  }
}

// vector: bytes of the target register; member_source: bytes of the source register
template <typename D, typename S>
void convert(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) {
    S s = from_raw<S>(read_raw(w, i.s[0], i.member_source, l));
    write_raw(w, i.d[0], i.vector, l, to_raw(convert_value<D, S>(s, i)));
  });
}
// Registers exactly as wide as the types: the loop the compiler can vectorise.
template <typename D, typename S>
void convert_direct(Warp& w, const Instruction& i, uint32_t mask) {
  const S* s = lanes<S>(w, i.s[0]);
  D* d = lanes<D>(w, i.d[0]);
  if (mask == kAllLanes) {
#pragma GCC ivdep
    for (uint32_t l = 0; l < kWarp; ++l) d[l] = static_cast<D>(s[l]);
  } else {
    each(mask, [&](uint32_t l) { d[l] = static_cast<D>(s[l]); });
  }
}

template <typename D>
Handler by_source(Type type) {
  switch (type) {
    case Type::U8:
    case Type::B8:
      return &convert<D, uint8_t>;
    case Type::S8:
      return &convert<D, int8_t>;
    case Type::U16:
    case Type::B16:
      return &convert<D, uint16_t>;
    case Type::S16:
      return &convert<D, int16_t>;
    case Type::U32:
    case Type::B32:
      return &convert<D, uint32_t>;
    case Type::S32:
      return &convert<D, int32_t>;
    case Type::U64:
    case Type::B64:
      return &convert<D, uint64_t>;
    case Type::S64:
      return &convert<D, int64_t>;
    case Type::F16:
      return &convert<D, Half>;
    case Type::BF16:
      return &convert<D, Bfloat>;
    case Type::F32:
      return &convert<D, float>;
    case Type::F64:
      return &convert<D, double>;
    default:
      return nullptr;
  }
}
Handler by_types(Type to, Type from) {
  switch (to) {
    case Type::U8:
      return by_source<uint8_t>(from);
    case Type::S8:
      return by_source<int8_t>(from);
    case Type::U16:
      return by_source<uint16_t>(from);
    case Type::S16:
      return by_source<int16_t>(from);
    case Type::U32:
      return by_source<uint32_t>(from);
    case Type::S32:
      return by_source<int32_t>(from);
    case Type::U64:
      return by_source<uint64_t>(from);
    case Type::S64:
      return by_source<int64_t>(from);
    case Type::F16:
      return by_source<Half>(from);
    case Type::BF16:
      return by_source<Bfloat>(from);
    case Type::F32:
      return by_source<float>(from);
    case Type::F64:
      return by_source<double>(from);
    default:
      return nullptr;
  }
}

// cvt.rn.bf16x2.f32 d, a, b: a becomes the upper half
template <typename T>
void convert_pair(Warp& w, const Instruction& i, uint32_t mask) {
  auto round = static_cast<Round>(i.mode);
  each(mask, [&](uint32_t l) {
    auto one = [&](Slot s) {
      float v = lanes<float>(w, s)[l];
      if (i.mode2 == 1 && !(v > 0)) v = v != v ? v : 0;
      return from_double<T>(v, round).bits;
    };
    lanes<uint32_t>(w, i.d[0])[l] = static_cast<uint32_t>(one(i.s[0])) << 16 | one(i.s[1]);
  });
}
// cvt.rna.tf32.f32: 10 fraction bits, ties away from zero; the rest of the register is zero here
void convert_tf32(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) {
    uint32_t u = lanes<uint32_t>(w, i.s[0])[l];
    if ((u & 0x7f800000u) != 0x7f800000u) u += 0x1000u;
    lanes<uint32_t>(w, i.d[0])[l] = u & 0xffffe000u;
  });
}

void convert_address(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) {
    lanes<uint64_t>(w, i.d[0])[l] = lanes<uint64_t>(w, i.s[0])[l] + static_cast<uint64_t>(i.immediate);
  });
}
void convert_to_window(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) {
    uint64_t a = lanes<uint64_t>(w, i.s[0])[l];
    if ((a & kWindowMask) != static_cast<uint64_t>(i.immediate)) {
      fault(w, i, l, kIllegalAddress, "cvta.to of a generic address that lies in another state space");
    }
    lanes<uint64_t>(w, i.d[0])[l] = a & ~kWindowMask;
  });
}
void convert_to_global(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) {
    uint64_t a = lanes<uint64_t>(w, i.s[0])[l];
    uint64_t window = a & kWindowMask;
    if (window == kSharedWindow || window == kLocalWindow) {
      fault(w, i, l, kIllegalAddress, "cvta.to.global of a generic address that lies in another state space");
    }
    lanes<uint64_t>(w, i.d[0])[l] = a;
  });
}

void build_cvta(Builder& b) {
  Instruction& i = b.i;
  bool to = b.take("to");
  Space space = b.take("global")                            ? Space::Global
                : b.take("shared") || b.take("shared::cta") ? Space::Shared
                : b.take("local")                           ? Space::Local
                : b.take("const")                           ? Space::Const
                : b.take("param")                           ? Space::Param
                                                            : Space::Generic;
  if (space == Space::Generic || space == Space::Param) b.fail("cvta needs .global, .shared, .local or .const");
  if (b.take_type() != Type::U64) b.fail("cvta needs .u64");
  b.operands(2);
  b.add_target(b.operand(0), Type::U64);
  b.add_source(b.operand(1), Type::U64);
  if (space == Space::Shared || space == Space::Local) {
    i.immediate = static_cast<int64_t>(space == Space::Shared ? kSharedWindow : kLocalWindow);
    i.run = to ? &convert_to_window : &convert_address;
  } else {
    i.run = to ? &convert_to_global : &convert_address;
  }
}

}  // namespace

bool build_convert(Builder& b) {
  const std::string& name = b.statement->name;
  Instruction& i = b.i;
  if (name == "cvta") {
    build_cvta(b);
    b.finish();
    return true;
  }
  if (name != "cvt") return false;
  static const struct {
    const char* name;
    Round round;
  } roundings[] = {{"rn", Round::Nearest},  {"rz", Round::Zero},         {"rm", Round::Down},
                   {"rp", Round::Up},       {"rna", Round::NearestAway}, {"rni", Round::IntNearest},
                   {"rzi", Round::IntZero}, {"rmi", Round::IntDown},     {"rpi", Round::IntUp}};
  Round round = Round::None;
  for (const auto& r : roundings) {
    if (b.take(r.name)) round = r.round;
  }
  i.mode = static_cast<uint8_t>(round);
  i.flush = b.take("ftz");
  i.saturate = b.take("sat");
  i.mode2 = b.take("relu") ? 1 : 0;
  Type from = b.take_type();
  Type to = b.take_type();
  if (to == Type::BF16x2 || to == Type::F16x2) {
    if (from != Type::F32 || (round != Round::Nearest && round != Round::Zero))
      b.fail("this conversion needs .rn or .rz and .f32");
    b.require(80, 70, "cvt to a pair");
    b.operands(3);
    b.add_target(b.operand(0), to);
    b.add_source(b.operand(1), from);
    b.add_source(b.operand(2), from);
    i.run = to == Type::BF16x2 ? &convert_pair<Bfloat> : &convert_pair<Half>;
    b.finish();
    return true;
  }
  if (to == Type::TF32) {
    if (from != Type::F32 || round != Round::NearestAway) b.fail("cvt to .tf32 needs .rna and .f32");
    b.require(80, 70, "cvt.rna.tf32");
    b.operands(2);
    b.add_target(b.operand(0), Type::B32);
    b.add_source(b.operand(1), Type::F32);
    i.run = &convert_tf32;
    b.finish();
    return true;
  }
  bool whole = round >= Round::IntNearest;
  bool to_float = is_float(to);
  bool from_float = is_float(from);
  if (to == Type::BF16 || from == Type::BF16) {
    bool other = (to == Type::BF16 ? from : to) != Type::F32;
    if (other) {
      b.require(90, 78, "cvt between .bf16 and types other than .f32");
    } else if (from == Type::BF16) {
      b.require(80, 71, "cvt.f32.bf16");
    } else {
      b.require(80, 70, "cvt to .bf16");
    }
  }
  if (from_float && !to_float && !whole) b.fail("cvt from float to integer needs .rni, .rzi, .rmi or .rpi");
  if (!from_float && to_float && (whole || round == Round::None))
    b.fail("cvt from integer to float needs .rn, .rz, .rm or .rp");
  if (!from_float && !to_float && round != Round::None) b.fail("cvt between integers takes no rounding");
  if (from_float && to_float) {
    if (size_of(to) < size_of(from) && (whole || round == Round::None))
      b.fail("cvt to a narrower float needs .rn, .rz, .rm or .rp");
    if (size_of(to) > size_of(from) && round != Round::None) b.fail("cvt to a wider float takes no rounding");
    if (to == from && round != Round::None && !whole)
      b.fail("cvt between equal floats takes only rounding to an integer");
  }
  if (i.flush && from != Type::F32 && to != Type::F32) b.fail(".ftz needs .f32");
  b.operands(2);
  uint32_t to_bytes = 0;
  uint32_t from_bytes = 0;
  b.add_target(b.operand(0), to, &to_bytes);
  b.add_source(b.operand(1), from, &from_bytes);
  i.vector = static_cast<uint8_t>(to_bytes);
  i.member_source = static_cast<uint8_t>(from_bytes);
  bool exact = to_bytes == size_of(to) && from_bytes == size_of(from) && !i.saturate && !i.flush;
  if (exact && to == Type::U32 && from == Type::U64) {
    i.run = &convert_direct<uint32_t, uint64_t>;
  } else if (exact && to == Type::U64 && from == Type::U32) {
    i.run = &convert_direct<uint64_t, uint32_t>;
  } else if (exact && to == Type::S64 && from == Type::S32) {
    i.run = &convert_direct<int64_t, int32_t>;
  } else if (exact && to == Type::U32 && from == Type::U16) {
    i.run = &convert_direct<uint32_t, uint16_t>;
  } else if (exact && to == Type::F32 && from == Type::S32 && round == Round::Nearest) {
    i.run = &convert_direct<float, int32_t>;
  } else if (exact && to == Type::F32 && from == Type::U32 && round == Round::Nearest) {
    i.run = &convert_direct<float, uint32_t>;
  } else {
    i.run = by_types(to, from);
  }
  if (i.run == nullptr) b.fail("this conversion does not exist");
  b.finish();
  return true;
}

}  // namespace cudasim::ptx
