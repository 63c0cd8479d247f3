// A test program without a framework: checks that report and count, and the simulated libraries through dlopen, as a
// client has them.
#pragma once

#include <dlfcn.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace harness {

inline int failures = 0;
inline int checks = 0;

inline void check(bool ok, const char* file, int line, const std::string& text) {
  ++checks;
  if (ok) return;
  ++failures;
  std::printf("%s:%d: %s\n", file, line, text.c_str());
}

inline std::string folder;

inline void* open_library(const char* name) {
  void* library = dlopen((folder + "/" + name).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::printf("cannot load %s: %s\n", name, dlerror());
    std::exit(2);
  }
  return library;
}

// A function of a library by its exact symbol.
template <typename... A>
struct Call {
  int (*function)(A...);
};

inline void* symbol(void* library, const char* name) {
  void* address = dlsym(library, name);
  if (address == nullptr) {
    std::printf("no symbol %s\n", name);
    std::exit(2);
  }
  return address;
}

inline uint64_t random_state = 20240607;
inline float uniform() {  // [-1, 1)
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return static_cast<float>(static_cast<int32_t>(random_state >> 32)) / 2147483648.0f;
}

inline float bfloat(float x) {  // rounded to nearest even
  uint32_t u;
  std::memcpy(&u, &x, 4);
  u = (u + 0x7fffu + ((u >> 16) & 1)) & 0xffff0000u;
  std::memcpy(&x, &u, 4);
  return x;
}
inline uint16_t bfloat_bits(float x) {
  x = bfloat(x);
  uint32_t u;
  std::memcpy(&u, &x, 4);
  return static_cast<uint16_t>(u >> 16);
}
inline float from_bfloat(uint16_t h) {
  uint32_t u = static_cast<uint32_t>(h) << 16;
  float x;
  std::memcpy(&x, &u, 4);
  return x;
}

}  // namespace harness

#define CHECK(condition) harness::check((condition), __FILE__, __LINE__, #condition)
#define CHECK_EQUAL(got, wanted)                                                                                    \
  do {                                                                                                              \
    auto got_value = (got);                                                                                         \
    auto wanted_value = static_cast<decltype(got_value)>(wanted);                                                   \
    harness::check(got_value == wanted_value, __FILE__, __LINE__,                                                   \
                   std::string(#got " is ") + std::to_string(got_value) + ", not " + std::to_string(wanted_value)); \
  } while (false)
#define CHECK_CONTAINS(text, part)                                           \
  harness::check((text).find(part) != std::string::npos, __FILE__, __LINE__, \
                 "'" + (text) + "' does not contain '" + (part) + "'")
