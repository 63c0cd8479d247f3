// Narrow float formats, directed rounding, and the error of approximate instructions.
#pragma once

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace cudasim::ptx {

enum class Round : uint8_t { None, Nearest, Zero, Down, Up, NearestAway, IntNearest, IntZero, IntDown, IntUp };

template <typename To, typename From>
inline To bit_cast(From value) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}

inline float flush(float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x; }

// Rounds a double to a format of `exponent` and `fraction` bits; overflow gives infinity, or the largest value when
// rounding inward.
inline uint32_t narrow(double x, int exponent, int fraction, Round round) {
  const uint32_t sign = std::signbit(x) ? 1u << (exponent + fraction) : 0;
  const uint32_t infinity = ((1u << exponent) - 1) << fraction;
  if (std::isnan(x)) return (1u << (exponent + fraction)) - 1;  // the canonical NaN, without its sign
  if (std::isinf(x)) return sign | infinity;
  if (x == 0) return sign;
  const int lowest = 2 - (1 << (exponent - 1));
  int e = std::ilogb(x);
  if (e < lowest) e = lowest;
  double scaled = std::ldexp(std::fabs(x), fraction - e);
  double whole = std::floor(scaled);
  double rest = scaled - whole;
  bool up = false;
  switch (round) {
    case Round::Zero:
      up = false;
      break;
    case Round::Down:
      up = sign != 0 && rest > 0;
      break;
    case Round::Up:
      up = sign == 0 && rest > 0;
      break;
    case Round::NearestAway:
      up = rest >= 0.5;
      break;
    default:
      up = rest > 0.5 || (rest == 0.5 && std::fmod(whole, 2) == 1);
      break;
  }
  // The hidden bit carries into the exponent by itself.
  uint64_t bits = static_cast<uint64_t>(whole) + (up ? 1 : 0) + (static_cast<uint64_t>(e - lowest) << fraction);
  if (bits >= infinity) {
    bool inward = round == Round::Zero || (round == Round::Down && sign == 0) || (round == Round::Up && sign != 0);
    return sign | (inward ? infinity - 1 : infinity);
  }
  return sign | static_cast<uint32_t>(bits);
}

inline float widen_half(uint16_t h) {
  int e = (h >> 10) & 31;
  int f = h & 1023;
  float v = e == 31  ? (f == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN())
            : e == 0 ? std::ldexp(static_cast<float>(f), -24)
                     : std::ldexp(static_cast<float>(f + 1024), e - 25);
  return (h & 0x8000) != 0 ? -v : v;
}
inline float widen_bfloat(uint16_t h) { return bit_cast<float>(static_cast<uint32_t>(h) << 16); }
inline uint16_t narrow_half(double x, Round round = Round::Nearest) {
  return static_cast<uint16_t>(narrow(x, 5, 10, round));
}
inline uint16_t narrow_bfloat(float x) {
  uint32_t u = bit_cast<uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}
inline uint16_t narrow_bfloat(double x, Round round) {
  // Rounding first to float is harmless unless that step made or broke a tie of the second one.
  float f = static_cast<float>(x);
  bool tie = (bit_cast<uint32_t>(f) & 0xffffu) == 0x8000u;
  if ((round == Round::Nearest || round == Round::None) && (!tie || static_cast<double>(f) == x))
    return narrow_bfloat(f);
  return static_cast<uint16_t>(narrow(x, 8, 7, round));
}
inline float narrow_float(double x, Round round) {
  float nearest = static_cast<float>(x);
  if (round == Round::Nearest || round == Round::None || std::isnan(x) || std::isinf(x)) return nearest;
  double back = nearest;
  bool toward_zero = round == Round::Zero;
  if ((round == Round::Down || (toward_zero && x > 0)) && back > x)
    return std::nextafter(nearest, -std::numeric_limits<float>::infinity());
  if ((round == Round::Up || (toward_zero && x < 0)) && back < x)
    return std::nextafter(nearest, std::numeric_limits<float>::infinity());
  return nearest;
}

// What tensor cores make of a float32 operand: 10 fraction bits.
inline float round_tf32(float x) {
  uint32_t u = bit_cast<uint32_t>(x);
  if ((u & 0x7f800000u) == 0x7f800000u) return x;
  return bit_cast<float>((u + 0x1000u) & 0xffffe000u);
}
// NVIDIA_TF32_OVERRIDE=0 forbids it for every library.
inline bool tf32_allowed() {
  const char* text = std::getenv("NVIDIA_TF32_OVERRIDE");
  return text == nullptr || text[0] != '0';
}

// Storage types of the two 16-bit formats, so that templates tell them apart.
struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};
inline float value(Half h) { return widen_half(h.bits); }
inline float value(Bfloat h) { return widen_bfloat(h.bits); }
inline float value(float x) { return x; }
inline double value(double x) { return x; }
template <typename T>
T from_double(double x, Round round);
template <>
inline Half from_double<Half>(double x, Round round) {
  return {narrow_half(x, round)};
}
template <>
inline Bfloat from_double<Bfloat>(double x, Round round) {
  return {narrow_bfloat(x, round)};
}
template <>
inline float from_double<float>(double x, Round round) {
  return narrow_float(x, round);
}
template <>
inline double from_double<double>(double x, Round) {
  return x;
}

// A value in [-1, 1] that depends on nothing but the input's bits: approximate results are off, but always by the same.
inline double wobble(uint32_t bits) {
  uint32_t h = bits * 0x9e3779b1u;
  h ^= h >> 15;
  h *= 0x85ebca77u;
  h ^= h >> 13;
  h *= 0xc2b2ae3du;
  h ^= h >> 16;
  return static_cast<double>(static_cast<int32_t>(h)) / 2147483648.0;
}

// The exact result moved by up to `ulps` units in the last place of float, less the half unit that rounding takes.
inline float off_by_ulps(double exact, double ulps, uint32_t input) {
  if (exact == 0 || !std::isfinite(exact)) return static_cast<float>(exact);
  float rounded = static_cast<float>(exact);
  if (!std::isfinite(rounded)) return rounded;
  double unit = std::ldexp(1.0, std::max(std::ilogb(exact), -126) - 23);
  return static_cast<float>(exact + wobble(input) * (ulps - 0.51) * unit);
}
inline float off_by_relative(double exact, double relative, uint32_t input) {
  if (exact == 0 || !std::isfinite(exact)) return static_cast<float>(exact);
  double room = relative - std::ldexp(1.01, -24);
  return static_cast<float>(exact * (1 + wobble(input) * (room > 0 ? room : 0)));
}
inline float off_by_absolute(double exact, double absolute, uint32_t input) {
  if (!std::isfinite(exact)) return static_cast<float>(exact);
  double room = absolute - std::ldexp(std::fabs(exact), -24);
  return static_cast<float>(exact + wobble(input) * (room > 0 ? room : 0));
}

}  // namespace cudasim::ptx
