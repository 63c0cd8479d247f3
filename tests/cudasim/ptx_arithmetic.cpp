// Floating-point arithmetic. Instructions with a rounding modifier are correctly rounded; .approx results are off by as
// much as NVIDIA documents, deterministically, so that no test can pass because the simulator is better than the
// hardware.
#include <cfenv>
#include <cmath>
#include <type_traits>

#include "ptx_build.h"
#include "ptx_float.h"
#include "ptx_machine.h"

namespace cudasim::ptx {

namespace {

struct Add {
  template <typename T>
  static T of(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <typename T>
  static T of(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <typename T>
  static T of(T a, T b) {
    return a * b;
  }
};
struct Div {
  template <typename T>
  static T of(T a, T b) {
    return a / b;
  }
};
struct Fma {
  template <typename T>
  static T of(T a, T b, T c) {
    return std::fma(a, b, c);
  }
};
struct Rcp {
  template <typename T>
  static T of(T a) {
    return T(1) / a;
  }
};
struct Sqrt {
  template <typename T>
  static T of(T a) {
    return std::sqrt(a);
  }
};
struct Neg {
  template <typename T>
  static T of(T a) {
    return -a;
  }
};
struct Abs {
  template <typename T>
  static T of(T a) {
    return std::fabs(a);
  }
};
// A NaN loses against a number, and -0 counts as less than +0.
struct Min {
  template <typename T>
  static T of(T a, T b) {
    if (a != a) return b != b ? std::numeric_limits<T>::quiet_NaN() : b;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? a : b;
    return a < b ? a : b;
  }
};
struct Max {
  template <typename T>
  static T of(T a, T b) {
    if (a != a) return b != b ? std::numeric_limits<T>::quiet_NaN() : b;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? b : a;
    return a > b ? a : b;
  }
};
struct MinNan {
  template <typename T>
  static T of(T a, T b) {
    return a != a || b != b ? std::numeric_limits<T>::quiet_NaN() : Min::of(a, b);
  }
};
struct MaxNan {
  template <typename T>
  static T of(T a, T b) {
    return a != a || b != b ? std::numeric_limits<T>::quiet_NaN() : Max::of(a, b);
  }
};
struct CopySign {
  template <typename T>
  static T of(T a, T b) {
    return std::copysign(b, a);
  }
};

uint32_t pattern(float x) { return bit_cast<uint32_t>(x); }

// The approximate instructions, with the bounds of the PTX ISA's tables.
struct RcpApprox {
  static float of(float a) { return off_by_ulps(1.0 / static_cast<double>(a), 1, pattern(a)); }
};
struct SqrtApprox {
  static float of(float a) {
    return off_by_relative(std::sqrt(static_cast<double>(a)), std::ldexp(1.0, -23), pattern(a));
  }
};
struct RsqrtApprox {
  static float of(float a) {
    return off_by_relative(1.0 / std::sqrt(static_cast<double>(a)), std::exp2(-22.9), pattern(a));
  }
};
struct DivApprox {  // 2 ulp while |b| is in [2^-126, 2^126]; beyond that the quotient is 0, or NaN for an infinite a
  static float of(float a, float b) {
    float size = std::fabs(b);
    if (size > 0x1p126f && std::isfinite(b))
      return std::isinf(a) ? std::numeric_limits<float>::quiet_NaN() : std::copysign(0.0f, a * std::copysign(1.0f, b));
    return off_by_ulps(static_cast<double>(a) / static_cast<double>(b), 2, pattern(a) ^ (pattern(b) * 31));
  }
};
struct DivFull {
  static float of(float a, float b) {
    return off_by_ulps(static_cast<double>(a) / static_cast<double>(b), 2, pattern(a) ^ (pattern(b) * 31));
  }
};
struct Ex2Approx {
  static float of(float a) { return a == 0 ? 1.0f : off_by_ulps(std::exp2(static_cast<double>(a)), 2, pattern(a)); }
};
struct Lg2Approx {
  static float of(float a) {
    double exact = std::log2(static_cast<double>(a));
    double bound = std::ldexp(1.0, -22);
    if (a > 0.5f && a < 2.0f) return off_by_absolute(exact, bound, pattern(a));
    return off_by_relative(exact, bound, pattern(a));
  }
};
// Beyond 2 pi the documentation gives no bound; the error grows with the argument's last place.
double angle_bound(float a) {
  return std::exp2(-20.5) * std::max(1.0, std::fabs(static_cast<double>(a)) / 6.283185307179586);
}
struct SinApprox {
  static float of(float a) {
    return a == 0 ? a : off_by_absolute(std::sin(static_cast<double>(a)), angle_bound(a), pattern(a));
  }
};
struct CosApprox {
  static float of(float a) {
    return a == 0 ? 1.0f : off_by_absolute(std::cos(static_cast<double>(a)), angle_bound(a), pattern(a));
  }
};
struct TanhApprox {
  static float of(float a) {
    float t = off_by_relative(std::tanh(static_cast<double>(a)), std::ldexp(1.0, -11), pattern(a));
    return std::fabs(t) > 1.0f ? std::copysign(1.0f, t) : t;
  }
};

template <typename Op, bool Flush, bool Saturate>
struct F32 {
  template <typename... A>
  static float of(A... a) {
    float r = Flush ? Op::of(flush(a)...) : Op::of(a...);
    if (Flush) r = flush(r);
    if (Saturate) r = r > 0 ? (r < 1 ? r : 1) : 0;  // NaN becomes 0
    return r;
  }
};

template <typename T, typename F, size_t Arity>
void apply(Warp& w, const Instruction& i, uint32_t mask) {
  const T* a = lanes<T>(w, i.s[0]);
  const T* b = lanes<T>(w, i.s[Arity > 1 ? 1 : 0]);
  const T* c = lanes<T>(w, i.s[Arity > 2 ? 2 : 0]);
  T* d = lanes<T>(w, i.d[0]);
  auto one = [&](uint32_t l) {
    if constexpr (Arity == 1) d[l] = F::of(a[l]);
    if constexpr (Arity == 2) d[l] = F::of(a[l], b[l]);
    if constexpr (Arity == 3) d[l] = F::of(a[l], b[l], c[l]);
  };
  if (mask == kAllLanes) {
#pragma GCC ivdep
    for (uint32_t l = 0; l < kWarp; ++l) one(l);
  } else {
    each(mask, one);
  }
}

template <typename Op, size_t Arity>
Handler single(const Instruction& i) {
  if (i.flush)
    return i.saturate ? &apply<float, F32<Op, true, true>, Arity> : &apply<float, F32<Op, true, false>, Arity>;
  return i.saturate ? &apply<float, F32<Op, false, true>, Arity> : &apply<float, F32<Op, false, false>, Arity>;
}

// .rz, .rm, .rp: by the processor's own rounding mode. volatile keeps the operation between the two switches.
template <typename T, typename Op, size_t Arity>
void directed(Warp& w, const Instruction& i, uint32_t mask) {
  auto round = static_cast<Round>(i.mode);
  int mode = round == Round::Zero ? FE_TOWARDZERO : round == Round::Down ? FE_DOWNWARD : FE_UPWARD;
  each(mask, [&](uint32_t l) {
    volatile T a = lanes<T>(w, i.s[0])[l];
    volatile T b = lanes<T>(w, i.s[Arity > 1 ? 1 : 0])[l];
    volatile T c = lanes<T>(w, i.s[Arity > 2 ? 2 : 0])[l];
    if constexpr (std::is_same_v<T, float>) {
      if (i.flush) {
        a = flush(a);
        b = flush(b);
        c = flush(c);
      }
    }
    int before = std::fegetround();
    std::fesetround(mode);
    volatile T r = 0;
    if constexpr (Arity == 1) r = Op::template of<T>(a);
    if constexpr (Arity == 2) r = Op::template of<T>(a, b);
    if constexpr (Arity == 3) r = Op::template of<T>(a, b, c);
    std::fesetround(before);
    T result = r;
    if constexpr (std::is_same_v<T, float>) {
      if (i.flush) result = flush(result);
    }
    if (i.saturate) result = result > 0 ? (result < 1 ? result : T(1)) : T(0);
    lanes<T>(w, i.d[0])[l] = result;
  });
}

// Narrow formats, one or two to a register; mode2 = 1: .relu
template <typename T, size_t Count, typename Op, size_t Arity>
void narrow_apply(Warp& w, const Instruction& i, uint32_t mask) {
  const T* a = lanes<T>(w, i.s[0]);
  const T* b = lanes<T>(w, i.s[Arity > 1 ? 1 : 0]);
  const T* c = lanes<T>(w, i.s[Arity > 2 ? 2 : 0]);
  T* d = lanes<T>(w, i.d[0]);
  each(mask, [&](uint32_t l) {
    for (size_t k = Count * l; k < Count * (l + 1); ++k) {
      double r = 0;
      if constexpr (Arity == 1) r = Op::template of<double>(value(a[k]));
      if constexpr (Arity == 2) r = Op::template of<double>(value(a[k]), value(b[k]));
      if constexpr (Arity == 3) r = Op::template of<double>(value(a[k]), value(b[k]), value(c[k]));
      if (i.saturate) r = r > 0 ? (r < 1 ? r : 1) : 0;
      if (i.mode2 == 1 && !(r > 0)) r = r != r ? r : 0;
      d[k] = from_double<T>(r, Round::Nearest);
    }
  });
}
// Sign changes keep a NaN's payload: they act on the bits.
template <typename U, U Sign, bool Negate>
void sign_bits(Warp& w, const Instruction& i, uint32_t mask) {
  each(mask, [&](uint32_t l) {
    U a = lanes<U>(w, i.s[0])[l];
    lanes<U>(w, i.d[0])[l] = static_cast<U>(Negate ? a ^ Sign : a & static_cast<U>(~Sign));
  });
}

template <typename Op, size_t Arity>
Handler narrow_of(Type type) {
  switch (type) {
    case Type::F16:
      return &narrow_apply<Half, 1, Op, Arity>;
    case Type::F16x2:
      return &narrow_apply<Half, 2, Op, Arity>;
    case Type::BF16:
      return &narrow_apply<Bfloat, 1, Op, Arity>;
    case Type::BF16x2:
      return &narrow_apply<Bfloat, 2, Op, Arity>;
    default:
      return nullptr;
  }
}

template <typename Op, size_t Arity>
Handler rounded(const Instruction& i, Type type) {
  bool nearest = static_cast<Round>(i.mode) == Round::Nearest || static_cast<Round>(i.mode) == Round::None;
  if (type == Type::F32) return nearest ? single<Op, Arity>(i) : &directed<float, Op, Arity>;
  if (type == Type::F64) return nearest ? &apply<double, Op, Arity> : &directed<double, Op, Arity>;
  return nearest ? narrow_of<Op, Arity>(type) : nullptr;
}

template <typename T>
void testp(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t r = 0;
  each(mask, [&](uint32_t l) {
    int c = std::fpclassify(lanes<T>(w, i.s[0])[l]);
    bool is[] = {
        c != FP_INFINITE && c != FP_NAN, c == FP_INFINITE, c != FP_NAN, c == FP_NAN, c == FP_NORMAL, c == FP_SUBNORMAL};
    r |= static_cast<uint32_t>(is[i.mode]) << l;
  });
  uint32_t& d = predicate(w, i.d[0]);
  d = (d & ~mask) | r;
}

Round take_rounding(Builder& b) {
  if (b.take("rn")) return Round::Nearest;
  if (b.take("rz")) return Round::Zero;
  if (b.take("rm")) return Round::Down;
  if (b.take("rp")) return Round::Up;
  return Round::None;
}

// What each narrow instruction asks of the target.
void require_narrow(Builder& b, const std::string& name, Type type) {
  bool bf = type == Type::BF16 || type == Type::BF16x2;
  if (!bf) return;
  if (name == "add" || name == "sub" || name == "mul" || name == "tanh" || name == "ex2") {
    b.require(90, 78, name + "." + name_of(type));
  } else {
    b.require(80, 70, name + "." + name_of(type));
  }
}

}  // namespace

bool build_float(Builder& b) {
  const std::string& name = b.statement->name;
  Instruction& i = b.i;
  auto done = [&] {
    if (i.run == nullptr) b.fail("'" + name + "' does not exist for this type and rounding");
    b.finish();
    return true;
  };
  auto sources = [&](size_t count, Type type) {
    b.operands(count + 1);
    b.add_target(b.operand(0), type);
    for (size_t k = 1; k <= count; ++k) b.add_source(b.operand(k), type);
  };

  if (name == "testp") {
    static const char* const kinds[] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
    bool found = false;
    for (uint8_t k = 0; k < 6 && !found; ++k) {
      if (b.take(kinds[k])) {
        i.mode = k;
        found = true;
      }
    }
    if (!found) b.fail("testp without a property");
    Type type = b.take_type();
    b.operands(2);
    b.add_target(b.operand(0), Type::Pred);
    b.add_source(b.operand(1), type);
    i.run = type == Type::F32 ? &testp<float> : type == Type::F64 ? &testp<double> : nullptr;
    return done();
  }
  if (name == "add" || name == "sub" || name == "mul" || name == "fma" || name == "mad") {
    i.mode = static_cast<uint8_t>(take_rounding(b));
    i.flush = b.take("ftz");
    i.saturate = b.take("sat");
    i.mode2 = b.take("relu") ? 1 : 0;
    Type type = b.take_type();
    bool three = name == "fma" || name == "mad";
    if (three && i.mode == 0) b.fail(name + " needs a rounding modifier");
    if (i.saturate && type != Type::F32 && type != Type::F16 && type != Type::F16x2)
      b.fail(".sat does not exist for this type");
    if (i.flush && type != Type::F32 && type != Type::F16 && type != Type::F16x2)
      b.fail(".ftz does not exist for this type");
    if (i.mode2 != 0 && (!three || size_of(type) == 8 || type == Type::F32)) b.fail(".relu does not exist here");
    require_narrow(b, name, type);
    sources(three ? 3 : 2, type);
    i.run = three           ? rounded<Fma, 3>(i, type)
            : name == "add" ? rounded<Add, 2>(i, type)
            : name == "sub" ? rounded<Sub, 2>(i, type)
                            : rounded<Mul, 2>(i, type);
    return done();
  }
  if (name == "min" || name == "max") {
    i.flush = b.take("ftz");
    bool nan = b.take("NaN");
    Type type = b.take_type();
    require_narrow(b, name, type);
    if (nan && type == Type::F32) b.require(80, 70, name + ".NaN");
    sources(2, type);
    bool least = name == "min";
    i.run = least ? (nan ? rounded<MinNan, 2>(i, type) : rounded<Min, 2>(i, type))
                  : (nan ? rounded<MaxNan, 2>(i, type) : rounded<Max, 2>(i, type));
    return done();
  }
  if (name == "neg" || name == "abs") {
    i.flush = b.take("ftz");
    Type type = b.take_type();
    require_narrow(b, name, type);
    sources(1, type);
    bool negate = name == "neg";
    switch (type) {
      case Type::F32:
        i.run = i.flush  ? (negate ? single<Neg, 1>(i) : single<Abs, 1>(i))
                : negate ? &sign_bits<uint32_t, 0x80000000u, true>
                         : &sign_bits<uint32_t, 0x80000000u, false>;
        break;
      case Type::F64:
        i.run = negate ? &sign_bits<uint64_t, 1ull << 63, true> : &sign_bits<uint64_t, 1ull << 63, false>;
        break;
      case Type::F16:
      case Type::BF16:
        i.run = negate ? &sign_bits<uint16_t, 0x8000u, true> : &sign_bits<uint16_t, 0x8000u, false>;
        break;
      case Type::F16x2:
      case Type::BF16x2:
        i.run = negate ? &sign_bits<uint32_t, 0x80008000u, true> : &sign_bits<uint32_t, 0x80008000u, false>;
        break;
      default:
        break;
    }
    return done();
  }
  if (name == "copysign") {
    Type type = b.take_type();
    sources(2, type);
    i.run = type == Type::F32 ? &apply<float, CopySign, 2> : type == Type::F64 ? &apply<double, CopySign, 2> : nullptr;
    return done();
  }
  if (name == "div") {
    bool approx = b.take("approx");
    bool full = b.take("full");
    i.mode = static_cast<uint8_t>(take_rounding(b));
    i.flush = b.take("ftz");
    Type type = b.take_type();
    if (!approx && !full && i.mode == 0) b.fail("div of floats needs .approx, .full or a rounding modifier");
    if (type != Type::F32 && (approx || full || type != Type::F64)) b.fail("this form of div does not exist");
    sources(2, type);
    i.run = approx ? single<DivApprox, 2>(i) : full ? single<DivFull, 2>(i) : rounded<Div, 2>(i, type);
    return done();
  }
  if (name == "rcp" || name == "sqrt") {
    bool approx = b.take("approx");
    i.mode = static_cast<uint8_t>(take_rounding(b));
    i.flush = b.take("ftz");
    Type type = b.take_type();
    if (!approx && i.mode == 0) b.fail(name + " needs .approx or a rounding modifier");
    if (type != Type::F32 && (approx || type != Type::F64)) b.fail("this form of " + name + " does not exist");
    sources(1, type);
    bool reciprocal = name == "rcp";
    i.run = approx ? (reciprocal ? single<RcpApprox, 1>(i) : single<SqrtApprox, 1>(i))
                   : (reciprocal ? rounded<Rcp, 1>(i, type) : rounded<Sqrt, 1>(i, type));
    return done();
  }
  if (name == "rsqrt" || name == "ex2" || name == "lg2" || name == "sin" || name == "cos" || name == "tanh") {
    if (!b.take("approx")) b.fail(name + " needs .approx");
    i.flush = b.take("ftz");
    Type type = b.take_type();
    sources(1, type);
    if (type != Type::F32) {
      b.fail(name + " is simulated for .f32 only");
    }
    i.run = name == "rsqrt" ? single<RsqrtApprox, 1>(i)
            : name == "ex2" ? single<Ex2Approx, 1>(i)
            : name == "lg2" ? single<Lg2Approx, 1>(i)
            : name == "sin" ? single<SinApprox, 1>(i)
            : name == "cos" ? single<CosApprox, 1>(i)
                            : single<TanhApprox, 1>(i);
    return done();
  }
  return false;
}

}  // namespace cudasim::ptx
