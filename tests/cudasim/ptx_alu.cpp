// Integer, logical, comparison and move instructions.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "ptx_build.h"
#include "ptx_float.h"
#include "ptx_machine.h"

namespace cudasim::ptx {

namespace {

__extension__ using Wide = __int128;

template <typename D, typename A, typename F>
void unary(Warp& w, const Instruction& i, uint32_t mask) {
  const A* a = lanes<A>(w, i.s[0]);
  D* d = lanes<D>(w, i.d[0]);
  if (mask == kAllLanes) {
#pragma GCC ivdep
    for (uint32_t l = 0; l < kWarp; ++l) d[l] = F::of(a[l]);
  } else {
    each(mask, [&](uint32_t l) { d[l] = F::of(a[l]); });
  }
}

template <typename D, typename A, typename B, typename F>
void binary(Warp& w, const Instruction& i, uint32_t mask) {
  const A* a = lanes<A>(w, i.s[0]);
  const B* b = lanes<B>(w, i.s[1]);
  D* d = lanes<D>(w, i.d[0]);
  if (mask == kAllLanes) {
#pragma GCC ivdep
    for (uint32_t l = 0; l < kWarp; ++l) d[l] = F::of(a[l], b[l]);
  } else {
    each(mask, [&](uint32_t l) { d[l] = F::of(a[l], b[l]); });
  }
}

template <typename D, typename A, typename B, typename C, typename F>
void ternary(Warp& w, const Instruction& i, uint32_t mask) {
  const A* a = lanes<A>(w, i.s[0]);
  const B* b = lanes<B>(w, i.s[1]);
  const C* c = lanes<C>(w, i.s[2]);
  D* d = lanes<D>(w, i.d[0]);
  if (mask == kAllLanes) {
#pragma GCC ivdep
    for (uint32_t l = 0; l < kWarp; ++l) d[l] = F::of(a[l], b[l], c[l]);
  } else {
    each(mask, [&](uint32_t l) { d[l] = F::of(a[l], b[l], c[l]); });
  }
}

// Integer arithmetic wraps: computed without sign, where C++ defines it.
template <typename T>
using Unsigned = std::make_unsigned_t<T>;
template <typename T>
constexpr T wrap(uint64_t v) {
  return static_cast<T>(static_cast<Unsigned<T>>(v));
}
template <typename T>
struct Twice;
template <>
struct Twice<uint16_t> {
  using type = uint32_t;
};
template <>
struct Twice<int16_t> {
  using type = int32_t;
};
template <>
struct Twice<uint32_t> {
  using type = uint64_t;
};
template <>
struct Twice<int32_t> {
  using type = int64_t;
};
template <>
struct Twice<uint64_t> {
  using type = Wide;
};
template <>
struct Twice<int64_t> {
  using type = Wide;
};

template <typename T>
T high(T a, T b) {
  if constexpr (std::is_same_v<T, uint64_t>) {
    __extension__ using Unsigned128 = unsigned __int128;
    return static_cast<T>((static_cast<Unsigned128>(a) * b) >> 64);
  } else {
    using W = typename Twice<T>::type;
    return static_cast<T>((static_cast<W>(a) * static_cast<W>(b)) >> (8 * sizeof(T)));
  }
}

struct Add {
  template <typename T>
  static T of(T a, T b) {
    return wrap<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  }
};
struct Sub {
  template <typename T>
  static T of(T a, T b) {
    return wrap<T>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
  }
};
struct AddSat {
  static int32_t of(int32_t a, int32_t b) {
    return static_cast<int32_t>(std::clamp<int64_t>(static_cast<int64_t>(a) + b, INT32_MIN, INT32_MAX));
  }
};
struct SubSat {
  static int32_t of(int32_t a, int32_t b) {
    return static_cast<int32_t>(std::clamp<int64_t>(static_cast<int64_t>(a) - b, INT32_MIN, INT32_MAX));
  }
};
struct MulLo {
  template <typename T>
  static T of(T a, T b) {
    return wrap<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  }
};
struct MulHi {
  template <typename T>
  static T of(T a, T b) {
    return high(a, b);
  }
};
struct MulWide {
  template <typename T>
  static typename Twice<T>::type of(T a, T b) {
    using W = typename Twice<T>::type;
    return static_cast<W>(static_cast<W>(a) * static_cast<W>(b));
  }
};
struct MadLo {
  template <typename T>
  static T of(T a, T b, T c) {
    return Add::of(MulLo::of(a, b), c);
  }
};
struct MadHi {
  template <typename T>
  static T of(T a, T b, T c) {
    return Add::of(high(a, b), c);
  }
};
struct MadWide {
  template <typename T, typename W>
  static W of(T a, T b, W c) {
    return Add::of(static_cast<W>(static_cast<W>(a) * static_cast<W>(b)), c);
  }
};
struct Div {
  template <typename T>
  static T of(T a, T b) {
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return wrap<T>(0 - static_cast<uint64_t>(a));
    }
    return static_cast<T>(a / b);
  }
};
struct Rem {
  template <typename T>
  static T of(T a, T b) {
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;
    }
    return static_cast<T>(a % b);
  }
};
struct Min {
  template <typename T>
  static T of(T a, T b) {
    return a < b ? a : b;
  }
};
struct Max {
  template <typename T>
  static T of(T a, T b) {
    return a > b ? a : b;
  }
};
struct And {
  template <typename T>
  static T of(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <typename T>
  static T of(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <typename T>
  static T of(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct Not {
  template <typename T>
  static T of(T a) {
    return static_cast<T>(~a);
  }
};
struct Cnot {
  template <typename T>
  static T of(T a) {
    return static_cast<T>(a == 0 ? 1 : 0);
  }
};
struct Neg {
  template <typename T>
  static T of(T a) {
    return wrap<T>(0 - static_cast<uint64_t>(a));
  }
};
struct Abs {
  template <typename T>
  static T of(T a) {
    return a < 0 ? Neg::of(a) : a;
  }
};
struct Copy {
  template <typename T>
  static T of(T a) {
    return a;
  }
};
struct Shl {
  template <typename T>
  static T of(T a, uint32_t b) {
    return b >= 8 * sizeof(T) ? T(0) : static_cast<T>(a << b);
  }
};
struct Shr {
  template <typename T>
  static T of(T a, uint32_t b) {
    constexpr uint32_t bits = 8 * sizeof(T);
    if (b >= bits) return std::is_signed_v<T> ? static_cast<T>(a >> (bits - 1)) : T(0);
    return static_cast<T>(a >> b);
  }
};
struct Popc {
  static uint32_t of(uint32_t a) { return static_cast<uint32_t>(__builtin_popcount(a)); }
  static uint32_t of(uint64_t a) { return static_cast<uint32_t>(__builtin_popcountll(a)); }
};
struct Clz {
  static uint32_t of(uint32_t a) { return a == 0 ? 32 : static_cast<uint32_t>(__builtin_clz(a)); }
  static uint32_t of(uint64_t a) { return a == 0 ? 64 : static_cast<uint32_t>(__builtin_clzll(a)); }
};
struct Bfind {
  template <typename T>
  static uint32_t of(T a) {
    uint64_t v = static_cast<Unsigned<T>>(std::is_signed_v<T> && a < 0 ? static_cast<T>(~a) : a);
    return v == 0 ? kAllLanes : 63u - static_cast<uint32_t>(__builtin_clzll(v));
  }
};
struct Brev {
  template <typename T>
  static T of(T a) {
    T r = 0;
    for (uint32_t k = 0; k < 8 * sizeof(T); ++k) r = static_cast<T>((r << 1) | ((a >> k) & 1));
    return r;
  }
};
struct Bfe {
  template <typename T>
  static T of(T a, uint32_t position, uint32_t length) {
    constexpr uint32_t top = 8 * sizeof(T) - 1;
    uint32_t p = position & 255;
    uint32_t n = length & 255;
    auto bit = [&](uint32_t k) { return (static_cast<Unsigned<T>>(a) >> k) & 1; };
    Unsigned<T> sign = !std::is_signed_v<T> || n == 0 ? 0 : bit(std::min(p + n - 1, top));
    Unsigned<T> r = 0;
    for (uint32_t k = 0; k <= top; ++k) {
      Unsigned<T> v = k < n && p + k <= top ? bit(p + k) : sign;
      r = static_cast<Unsigned<T>>(r | (v << k));
    }
    return static_cast<T>(r);
  }
};
struct Slct {
  template <typename T>
  static T of(T a, T b, int32_t c) {
    return c >= 0 ? a : b;
  }
};
struct SlctF {
  template <typename T>
  static T of(T a, T b, float c) {
    return c >= 0 ? a : b;
  }
};
struct Sad {
  template <typename T>
  static T of(T a, T b, T c) {
    return Add::of(c, a < b ? Sub::of(b, a) : Sub::of(a, b));
  }
};
struct ShiftLeft {
  static uint32_t of(uint32_t a, uint32_t b, uint32_t n) {
    return n == 0 ? b : n >= 32 ? a : (b << n) | (a >> (32 - n));
  }
};
struct ShiftRight {
  static uint32_t of(uint32_t a, uint32_t b, uint32_t n) {
    return n == 0 ? a : n >= 32 ? b : (b << (32 - n)) | (a >> n);
  }
};
struct ShiftLeftWrap {
  static uint32_t of(uint32_t a, uint32_t b, uint32_t n) { return ShiftLeft::of(a, b, n & 31); }
};
struct ShiftRightWrap {
  static uint32_t of(uint32_t a, uint32_t b, uint32_t n) { return ShiftRight::of(a, b, n & 31); }
};
struct Prmt {
  static uint32_t of(uint32_t a, uint32_t b, uint32_t selector) {
    uint64_t both = (static_cast<uint64_t>(b) << 32) | a;
    uint32_t r = 0;
    for (uint32_t k = 0; k < 4; ++k) {
      uint32_t s = (selector >> (4 * k)) & 15;
      auto byte = static_cast<uint8_t>(both >> (8 * (s & 7)));
      if ((s & 8) != 0) byte = (byte & 0x80) != 0 ? 0xff : 0;
      r |= static_cast<uint32_t>(byte) << (8 * k);
    }
    return r;
  }
};

template <typename T>
void bfi(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) {
    T a = lanes<T>(w, i.s[0])[l];
    T b = lanes<T>(w, i.s[1])[l];
    uint32_t p = lanes<uint32_t>(w, i.s[2])[l] & 255;
    uint32_t n = lanes<uint32_t>(w, i.s[3])[l] & 255;
    for (uint32_t k = 0; k < n && p + k < 8 * sizeof(T); ++k) {
      T one = static_cast<T>(T(1) << (p + k));
      b = static_cast<T>(((a >> k) & 1) != 0 ? b | one : b & ~one);
    }
    lanes<T>(w, i.d[0])[l] = b;
  });
}

void lop3(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) {
    uint32_t a = lanes<uint32_t>(w, i.s[0])[l];
    uint32_t b = lanes<uint32_t>(w, i.s[1])[l];
    uint32_t c = lanes<uint32_t>(w, i.s[2])[l];
    uint32_t r = 0;
    for (uint32_t k = 0; k < 8; ++k) {
      if (((i.mode >> k) & 1) != 0) r |= ((k & 4) != 0 ? a : ~a) & ((k & 2) != 0 ? b : ~b) & ((k & 1) != 0 ? c : ~c);
    }
    lanes<uint32_t>(w, i.d[0])[l] = r;
  });
}

template <typename T, typename F>
void checked_division(Warp& w, const Instruction& i, uint32_t mask) {
  const T* b = lanes<T>(w, i.s[1]);
  each(mask, [&](uint32_t l) {
    if (b[l] == 0) fault(w, i, l, kLaunchFailed, "integer division by zero, which has no defined result");
  });
  each(mask, [&](uint32_t l) { lanes<T>(w, i.d[0])[l] = F::of(lanes<T>(w, i.s[0])[l], b[l]); });
}

template <typename T>
void select(Warp& w, const Instruction& i, uint32_t mask) {
  const T* a = lanes<T>(w, i.s[0]);
  const T* b = lanes<T>(w, i.s[1]);
  uint32_t p = predicate(w, i.s[2]);
  T* d = lanes<T>(w, i.d[0]);
  each(mask, [&](uint32_t l) { d[l] = ((p >> l) & 1) != 0 ? a[l] : b[l]; });
}

// Logic on predicates, whole warps at a time.
template <typename F>
void predicate_binary(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t r = F::of(predicate(w, i.s[0]), predicate(w, i.s[1]));
  uint32_t& d = predicate(w, i.d[0]);
  d = (d & ~mask) | (r & mask);
}
template <typename F>
void predicate_unary(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t r = F::of(predicate(w, i.s[0]));
  uint32_t& d = predicate(w, i.d[0]);
  d = (d & ~mask) | (r & mask);
}

enum Comparison : uint8_t { Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan, ComparisonCount };
const char* const kComparisons[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                    "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

template <Comparison C, typename T>
bool compare(T x, T y) {
  auto a = x;
  auto b = y;
  bool unordered = false;
  if constexpr (std::is_floating_point_v<T>) unordered = a != a || b != b;
  switch (C) {
    case Eq:
      return !unordered && a == b;
    case Ne:
      return !unordered && a != b;
    case Lt:
      return a < b;
    case Le:
      return a <= b;
    case Gt:
      return a > b;
    case Ge:
      return a >= b;
    case Equ:
      return unordered || a == b;
    case Neu:
      return unordered || a != b;
    case Ltu:
      return unordered || a < b;
    case Leu:
      return unordered || a <= b;
    case Gtu:
      return unordered || a > b;
    case Geu:
      return unordered || a >= b;
    case Num:
      return !unordered;
    case Nan:
      return unordered;
    default:
      return false;
  }
}

// Stored type T compared as value(T) for the narrow floats.
template <typename T>
auto comparable(T x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>) {
    return value(x);
  } else {
    return x;
  }
}

template <Comparison C, typename T>
uint32_t comparison_mask(Warp& w, const Instruction& i, uint32_t mask) {
  const T* a = lanes<T>(w, i.s[0]);
  const T* b = lanes<T>(w, i.s[1]);
  uint32_t result = 0;
  if constexpr (std::is_same_v<T, float>) {
    if (i.flush) {
      each(mask, [&](uint32_t l) { result |= static_cast<uint32_t>(compare<C>(flush(a[l]), flush(b[l]))) << l; });
      return result;
    }
  }
  if (mask == kAllLanes) {
    for (uint32_t l = 0; l < kWarp; ++l)
      result |= static_cast<uint32_t>(compare<C>(comparable(a[l]), comparable(b[l]))) << l;
  } else {
    each(mask,
         [&](uint32_t l) { result |= static_cast<uint32_t>(compare<C>(comparable(a[l]), comparable(b[l]))) << l; });
  }
  return result;
}

// mode: 0 none, 1 and, 2 or, 3 xor with the predicate s[2] (mode2: negated)
uint32_t combine(Warp& w, const Instruction& i, uint32_t r, bool complement) {
  if (complement) r = ~r;
  if (i.mode == 0) return r;
  uint32_t c = predicate(w, i.s[2]);
  if (i.mode2 != 0) c = ~c;
  return i.mode == 1 ? r & c : i.mode == 2 ? r | c : r ^ c;
}

template <Comparison C, typename T>
void setp(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t r = comparison_mask<C, T>(w, i, mask);
  for (uint32_t k = 0; k < i.target_count; ++k) {
    uint32_t v = combine(w, i, r, k == 1);
    uint32_t& d = predicate(w, i.d[k]);
    d = (d & ~mask) | (v & mask);
  }
}

// set: vector field holds 1 for a float result
template <Comparison C, typename T>
void set(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t r = combine(w, i, comparison_mask<C, T>(w, i, mask), false);
  uint32_t yes = i.vector == 1 ? bit_cast<uint32_t>(1.0f) : kAllLanes;
  each(mask, [&](uint32_t l) { lanes<uint32_t>(w, i.d[0])[l] = ((r >> l) & 1) != 0 ? yes : 0; });
}

template <typename T, bool Set, size_t... K>
Handler comparison_handler(uint32_t which, std::index_sequence<K...>) {
  static constexpr Handler table[] = {
      (Set ? &set<static_cast<Comparison>(K), T> : &setp<static_cast<Comparison>(K), T>)...};
  return table[which];
}

template <bool Set>
Handler comparison_of(Type type, uint32_t which) {
  auto all = std::make_index_sequence<ComparisonCount>();
  switch (type) {
    case Type::U16:
    case Type::B16:
      return comparison_handler<uint16_t, Set>(which, all);
    case Type::S16:
      return comparison_handler<int16_t, Set>(which, all);
    case Type::U32:
    case Type::B32:
      return comparison_handler<uint32_t, Set>(which, all);
    case Type::S32:
      return comparison_handler<int32_t, Set>(which, all);
    case Type::U64:
    case Type::B64:
      return comparison_handler<uint64_t, Set>(which, all);
    case Type::S64:
      return comparison_handler<int64_t, Set>(which, all);
    case Type::F32:
      return comparison_handler<float, Set>(which, all);
    case Type::F64:
      return comparison_handler<double, Set>(which, all);
    case Type::F16:
      return comparison_handler<Half, Set>(which, all);
    case Type::BF16:
      return comparison_handler<Bfloat, Set>(which, all);
    default:
      return nullptr;
  }
}

#define CUDASIM_BY_INTEGER(type, make) \
  [&]() -> Handler {                   \
    switch (type) {                    \
      case Type::U16:                  \
        return make(uint16_t);         \
      case Type::S16:                  \
        return make(int16_t);          \
      case Type::U32:                  \
        return make(uint32_t);         \
      case Type::S32:                  \
        return make(int32_t);          \
      case Type::U64:                  \
        return make(uint64_t);         \
      case Type::S64:                  \
        return make(int64_t);          \
      default:                         \
        return nullptr;                \
    }                                  \
  }()

template <typename F>
Handler by_integer_2(Type type) {
#define MAKE(T) &binary<T, T, T, F>
  return CUDASIM_BY_INTEGER(type, MAKE);
#undef MAKE
}
template <typename F>
Handler by_integer_3(Type type) {
#define MAKE(T) &ternary<T, T, T, T, F>
  return CUDASIM_BY_INTEGER(type, MAKE);
#undef MAKE
}
template <typename F>
Handler by_bits_2(Type type) {
  switch (type) {
    case Type::B16:
      return &binary<uint16_t, uint16_t, uint16_t, F>;
    case Type::B32:
      return &binary<uint32_t, uint32_t, uint32_t, F>;
    case Type::B64:
      return &binary<uint64_t, uint64_t, uint64_t, F>;
    case Type::Pred:
      return &predicate_binary<F>;
    default:
      return nullptr;
  }
}
template <typename F>
Handler by_bits_1(Type type) {
  switch (type) {
    case Type::B16:
      return &unary<uint16_t, uint16_t, F>;
    case Type::B32:
      return &unary<uint32_t, uint32_t, F>;
    case Type::B64:
      return &unary<uint64_t, uint64_t, F>;
    case Type::Pred:
      return &predicate_unary<F>;
    default:
      return nullptr;
  }
}
template <typename F>
Handler by_size_1(uint32_t size) {
  return size == 2   ? &unary<uint16_t, uint16_t, F>
         : size == 4 ? &unary<uint32_t, uint32_t, F>
                     : &unary<uint64_t, uint64_t, F>;
}

Type widened(Type type) {
  switch (type) {
    case Type::U16:
      return Type::U32;
    case Type::S16:
      return Type::S32;
    case Type::U32:
      return Type::U64;
    case Type::S32:
      return Type::S64;
    default:
      return Type::None;
  }
}

// mov.bN {a,b,...}, r and back
template <typename Whole, typename Part>
void unpack(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) {
    Whole v = lanes<Whole>(w, i.s[0])[l];
    for (uint32_t k = 0; k < i.target_count; ++k)
      lanes<Part>(w, i.d[k])[l] = static_cast<Part>(v >> (8 * sizeof(Part) * k));
  });
}
template <typename Whole, typename Part>
void pack(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) {
    Whole v = 0;
    for (uint32_t k = 0; k < i.source_count; ++k) {
      v = static_cast<Whole>(v | (static_cast<Whole>(lanes<Part>(w, i.s[k])[l]) << (8 * sizeof(Part) * k)));
    }
    lanes<Whole>(w, i.d[0])[l] = v;
  });
}

void build_mov(Builder& b) {
  Type type = b.take_type();
  b.operands(2);
  const Operand& to = b.operand(0);
  const Operand& from = b.operand(1);
  if (to.kind == Operand::Vector || from.kind == Operand::Vector) {
    const auto& parts = to.kind == Operand::Vector ? to.parts : from.parts;
    uint32_t size = size_of(type) / static_cast<uint32_t>(parts.size());
    if (!is_bits(type) || size * parts.size() != size_of(type) || size < 2)
      b.fail("mov with a vector needs .b32 or .b64 and parts of equal size");
    Type part = size == 2 ? Type::B16 : Type::B32;
    if (to.kind == Operand::Vector) {
      for (const Operand& p : parts) b.add_target(p, part);
      b.add_source(from, type);
      b.i.run = size == 4            ? &unpack<uint64_t, uint32_t>
                : size_of(type) == 8 ? &unpack<uint64_t, uint16_t>
                                     : &unpack<uint32_t, uint16_t>;
    } else {
      b.add_target(to, type);
      for (const Operand& p : parts) b.add_source(p, part);
      b.i.run = size == 4            ? &pack<uint64_t, uint32_t>
                : size_of(type) == 8 ? &pack<uint64_t, uint16_t>
                                     : &pack<uint32_t, uint16_t>;
    }
    return;
  }
  b.add_target(to, type);
  b.add_source(from, type);
  b.i.run = copy_handler(type);
}

template <bool Set>
void build_comparison(Builder& b) {
  const std::string& name = b.statement->name;
  uint32_t which = ComparisonCount;
  static const char* const without_sign[] = {"lo", "ls", "hi", "hs"};
  static const uint32_t same[] = {Lt, Le, Gt, Ge};
  for (uint32_t k = 0; k < ComparisonCount && which == ComparisonCount; ++k) {
    if (b.take(kComparisons[k])) which = k;
  }
  for (uint32_t k = 0; k < 4 && which == ComparisonCount; ++k) {
    if (b.take(without_sign[k])) which = same[k];
  }
  if (which == ComparisonCount) b.fail(name + " without a comparison");
  b.i.mode = b.take("and") ? 1 : b.take("or") ? 2 : b.take("xor") ? 3 : 0;
  b.i.flush = b.take("ftz");
  Type type = b.take_type();
  Type result = Set ? b.take_type() : Type::Pred;
  if (which >= Equ && !is_float(type)) b.fail("unordered comparisons are for floats");
  if (is_bits(type) && which > Ne) b.fail("bit patterns compare only by eq and ne");
  b.operands(b.i.mode == 0 ? 3 : 4);
  const Operand& to = b.operand(0);
  if (Set) {
    if (size_of(result) != 4) b.fail("set writes .u32, .s32 or .f32");
    b.add_target(to, result);
    b.i.vector = result == Type::F32 ? 1 : 0;
  } else if (to.kind == Operand::Pair) {
    b.add_target(to.parts[0], Type::Pred);
    b.add_target(to.parts[1], Type::Pred);
  } else {
    b.add_target(to, Type::Pred);
  }
  b.add_source(b.operand(1), type);
  b.add_source(b.operand(2), type);
  if (b.i.mode != 0) {
    Operand c = b.operand(3);
    b.i.mode2 = c.negated ? 1 : 0;
    c.negated = false;
    b.add_source(c, Type::Pred);
  }
  b.i.run = comparison_of<Set>(type, which);
}

}  // namespace

Handler copy_handler(Type type) { return type == Type::Pred ? &predicate_unary<Copy> : by_size_1<Copy>(size_of(type)); }

bool build_alu(Builder& b) {
  const std::string& name = b.statement->name;
  Instruction& i = b.i;
  auto done = [&] {
    if (i.run == nullptr) b.fail("'" + name + "' does not exist for this type");
    b.finish();
    return true;
  };
  auto sources = [&](size_t count, Type type) {
    b.operands(count + 1);
    b.add_target(b.operand(0), type);
    for (size_t k = 1; k <= count; ++k) b.add_source(b.operand(k), type);
  };

  if (name == "mov") {
    build_mov(b);
    return done();
  }
  if (name == "setp") {
    build_comparison<false>(b);
    return done();
  }
  if (name == "set") {
    build_comparison<true>(b);
    return done();
  }
  if (name == "selp") {
    Type type = b.take_type();
    b.operands(4);
    b.add_target(b.operand(0), type);
    b.add_source(b.operand(1), type);
    b.add_source(b.operand(2), type);
    b.add_source(b.operand(3), Type::Pred);
    i.run = size_of(type) == 2 ? &select<uint16_t> : size_of(type) == 4 ? &select<uint32_t> : &select<uint64_t>;
    return done();
  }
  if (name == "slct") {
    i.flush = b.take("ftz");
    Type decider = b.take_type();
    Type type = b.take_type();
    b.operands(4);
    b.add_target(b.operand(0), type);
    b.add_source(b.operand(1), type);
    b.add_source(b.operand(2), type);
    b.add_source(b.operand(3), decider);
    uint32_t size = size_of(type);
    if (decider == Type::S32) {
      i.run = size == 2   ? &ternary<uint16_t, uint16_t, uint16_t, int32_t, Slct>
              : size == 4 ? &ternary<uint32_t, uint32_t, uint32_t, int32_t, Slct>
                          : &ternary<uint64_t, uint64_t, uint64_t, int32_t, Slct>;
    } else if (decider == Type::F32) {
      i.run = size == 2   ? &ternary<uint16_t, uint16_t, uint16_t, float, SlctF>
              : size == 4 ? &ternary<uint32_t, uint32_t, uint32_t, float, SlctF>
                          : &ternary<uint64_t, uint64_t, uint64_t, float, SlctF>;
    }
    return done();
  }
  if (name == "and" || name == "or" || name == "xor") {
    Type type = b.take_type();
    sources(2, type);
    i.run = name == "and" ? by_bits_2<And>(type) : name == "or" ? by_bits_2<Or>(type) : by_bits_2<Xor>(type);
    return done();
  }
  if (name == "not" || name == "cnot") {
    Type type = b.take_type();
    sources(1, type);
    i.run = name == "not" ? by_bits_1<Not>(type) : type == Type::Pred ? nullptr : by_bits_1<Cnot>(type);
    return done();
  }
  if (name == "shl" || name == "shr") {
    Type type = b.take_type();
    b.operands(3);
    b.add_target(b.operand(0), type);
    b.add_source(b.operand(1), type);
    b.add_source(b.operand(2), Type::U32);
    uint32_t size = size_of(type);
    if (name == "shl") {
      if (!is_bits(type)) b.fail("shl needs .b16, .b32 or .b64");
      i.run = size == 2   ? &binary<uint16_t, uint16_t, uint32_t, Shl>
              : size == 4 ? &binary<uint32_t, uint32_t, uint32_t, Shl>
                          : &binary<uint64_t, uint64_t, uint32_t, Shl>;
    } else if (is_signed(type)) {
      i.run = size == 2   ? &binary<int16_t, int16_t, uint32_t, Shr>
              : size == 4 ? &binary<int32_t, int32_t, uint32_t, Shr>
                          : &binary<int64_t, int64_t, uint32_t, Shr>;
    } else if (!is_float(type)) {
      i.run = size == 2   ? &binary<uint16_t, uint16_t, uint32_t, Shr>
              : size == 4 ? &binary<uint32_t, uint32_t, uint32_t, Shr>
                          : &binary<uint64_t, uint64_t, uint32_t, Shr>;
    }
    return done();
  }
  if (name == "shf") {
    bool left = b.take("l");
    if (!left && !b.take("r")) b.fail("shf needs .l or .r");
    bool clamp = b.take("clamp");
    if (!clamp && !b.take("wrap")) b.fail("shf needs .clamp or .wrap");
    if (b.take_type() != Type::B32) b.fail("shf needs .b32");
    sources(3, Type::B32);
    using U = uint32_t;
    i.run = left ? (clamp ? &ternary<U, U, U, U, ShiftLeft> : &ternary<U, U, U, U, ShiftLeftWrap>)
                 : (clamp ? &ternary<U, U, U, U, ShiftRight> : &ternary<U, U, U, U, ShiftRightWrap>);
    return done();
  }
  if (name == "popc" || name == "clz" || name == "bfind") {
    Type type = b.take_type();
    b.operands(2);
    b.add_target(b.operand(0), Type::U32);
    b.add_source(b.operand(1), type);
    bool wide = size_of(type) == 8;
    if (name == "bfind") {
      i.run = type == Type::U32   ? &unary<uint32_t, uint32_t, Bfind>
              : type == Type::S32 ? &unary<uint32_t, int32_t, Bfind>
              : type == Type::U64 ? &unary<uint32_t, uint64_t, Bfind>
              : type == Type::S64 ? &unary<uint32_t, int64_t, Bfind>
                                  : nullptr;
    } else if (type == Type::B32 || type == Type::B64) {
      i.run = name == "popc" ? (wide ? &unary<uint32_t, uint64_t, Popc> : &unary<uint32_t, uint32_t, Popc>)
                             : (wide ? &unary<uint32_t, uint64_t, Clz> : &unary<uint32_t, uint32_t, Clz>);
    }
    return done();
  }
  if (name == "brev") {
    Type type = b.take_type();
    sources(1, type);
    i.run = type == Type::B32   ? &unary<uint32_t, uint32_t, Brev>
            : type == Type::B64 ? &unary<uint64_t, uint64_t, Brev>
                                : nullptr;
    return done();
  }
  if (name == "bfe") {
    Type type = b.take_type();
    b.operands(4);
    b.add_target(b.operand(0), type);
    b.add_source(b.operand(1), type);
    b.add_source(b.operand(2), Type::U32);
    b.add_source(b.operand(3), Type::U32);
    i.run = type == Type::U32   ? &ternary<uint32_t, uint32_t, uint32_t, uint32_t, Bfe>
            : type == Type::S32 ? &ternary<int32_t, int32_t, uint32_t, uint32_t, Bfe>
            : type == Type::U64 ? &ternary<uint64_t, uint64_t, uint32_t, uint32_t, Bfe>
            : type == Type::S64 ? &ternary<int64_t, int64_t, uint32_t, uint32_t, Bfe>
                                : nullptr;
    return done();
  }
  if (name == "bfi") {
    Type type = b.take_type();
    b.operands(5);
    b.add_target(b.operand(0), type);
    b.add_source(b.operand(1), type);
    b.add_source(b.operand(2), type);
    b.add_source(b.operand(3), Type::U32);
    b.add_source(b.operand(4), Type::U32);
    i.run = type == Type::B32 ? &bfi<uint32_t> : type == Type::B64 ? &bfi<uint64_t> : nullptr;
    return done();
  }
  if (name == "prmt") {
    if (b.take_type() != Type::B32) b.fail("prmt needs .b32");
    sources(3, Type::B32);
    i.run = &ternary<uint32_t, uint32_t, uint32_t, uint32_t, Prmt>;
    return done();
  }
  if (name == "lop3") {
    if (b.take_type() != Type::B32) b.fail("lop3 needs .b32");
    b.operands(5);
    b.add_target(b.operand(0), Type::B32);
    for (size_t k = 1; k <= 3; ++k) b.add_source(b.operand(k), Type::B32);
    if (b.operand(4).kind != Operand::Integer || b.operand(4).bits > 255) b.fail("lop3 needs a table of 8 bits");
    i.mode = static_cast<uint8_t>(b.operand(4).bits);
    i.run = &lop3;
    return done();
  }

  // Names shared with floats: only integer types here.
  static const char* const shared_names[] = {"add", "sub", "mul", "mad", "div", "rem",
                                             "min", "max", "neg", "abs", "sad"};
  bool shared_name =
      std::any_of(std::begin(shared_names), std::end(shared_names), [&](const char* n) { return name == n; });
  if (!shared_name) return false;
  Type probe = Type::None;
  for (const std::string& m : b.modifiers) parse_type(m, &probe);
  if (is_float(probe)) return false;
  Type type = b.take_type();
  if (name == "add" || name == "sub") {
    bool saturate = b.take("sat");
    sources(2, type);
    if (saturate) {
      if (type != Type::S32) b.fail(".sat needs .s32");
      i.run = name == "add" ? &binary<int32_t, int32_t, int32_t, AddSat> : &binary<int32_t, int32_t, int32_t, SubSat>;
    } else {
      i.run = name == "add" ? by_integer_2<Add>(type) : by_integer_2<Sub>(type);
    }
  } else if (name == "mul" || name == "mad") {
    bool wide = b.take("wide");
    bool hi = !wide && b.take("hi");
    if (!wide && !hi && !b.take("lo")) b.fail("integer " + name + " needs .lo, .hi or .wide");
    bool mad = name == "mad";
    Type result = wide ? widened(type) : type;
    if (result == Type::None) b.fail(".wide does not exist for this type");
    b.operands(mad ? 4 : 3);
    b.add_target(b.operand(0), result);
    b.add_source(b.operand(1), type);
    b.add_source(b.operand(2), type);
    if (mad) b.add_source(b.operand(3), result);
    if (!wide) {
      i.run = mad ? (hi ? by_integer_3<MadHi>(type) : by_integer_3<MadLo>(type))
                  : (hi ? by_integer_2<MulHi>(type) : by_integer_2<MulLo>(type));
    } else if (!mad) {
      i.run = type == Type::U16   ? &binary<uint32_t, uint16_t, uint16_t, MulWide>
              : type == Type::S16 ? &binary<int32_t, int16_t, int16_t, MulWide>
              : type == Type::U32 ? &binary<uint64_t, uint32_t, uint32_t, MulWide>
                                  : &binary<int64_t, int32_t, int32_t, MulWide>;
    } else {
      i.run = type == Type::U16   ? &ternary<uint32_t, uint16_t, uint16_t, uint32_t, MadWide>
              : type == Type::S16 ? &ternary<int32_t, int16_t, int16_t, int32_t, MadWide>
              : type == Type::U32 ? &ternary<uint64_t, uint32_t, uint32_t, uint64_t, MadWide>
                                  : &ternary<int64_t, int32_t, int32_t, int64_t, MadWide>;
    }
  } else if (name == "div") {
    sources(2, type);
#define MAKE(T) &checked_division<T, Div>
    i.run = CUDASIM_BY_INTEGER(type, MAKE);
#undef MAKE
  } else if (name == "rem") {
    sources(2, type);
#define MAKE(T) &checked_division<T, Rem>
    i.run = CUDASIM_BY_INTEGER(type, MAKE);
#undef MAKE
  } else if (name == "min" || name == "max") {
    sources(2, type);
    i.run = name == "min" ? by_integer_2<Min>(type) : by_integer_2<Max>(type);
  } else if (name == "sad") {
    sources(3, type);
    i.run = by_integer_3<Sad>(type);
  } else {
    sources(1, type);
    bool negate = name == "neg";
    i.run = type == Type::S16   ? (negate ? &unary<int16_t, int16_t, Neg> : &unary<int16_t, int16_t, Abs>)
            : type == Type::S32 ? (negate ? &unary<int32_t, int32_t, Neg> : &unary<int32_t, int32_t, Abs>)
            : type == Type::S64 ? (negate ? &unary<int64_t, int64_t, Neg> : &unary<int64_t, int64_t, Abs>)
                                : nullptr;
  }
  return done();
}

}  // namespace cudasim::ptx
