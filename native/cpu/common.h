// Shared by every kernel: the guard at the C boundary, extent checks, and the views kernels loop over.
#pragma once

#include <omp.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#ifdef STIG_STD_THREADS
#include <algorithm>
#include <mutex>
#include <thread>
#include <vector>
#endif

#include "stig.h"

namespace stig {

// Carries a status and a sentence to the guard; nothing else catches it.
class Error : public std::runtime_error {
 public:
  Error(stig_status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  stig_status status() const { return status_; }

 private:
  stig_status status_;
};

stig_status report_current_exception(const char* function) noexcept;

// Runs body and turns whatever it throws into a status and the thread's last error.
template <typename Body>
stig_status guarded(const char* function, Body&& body) noexcept {
  try {
    body();
    return STIG_OK;
  } catch (...) {
    return report_current_exception(function);
  }
}

inline void require(bool condition, const std::string& message) {
  if (!condition) throw Error(STIG_INVALID_ARGUMENT, message);
}

std::string describe(const stig_tensor& t);  // "2x64x32x32 block 16"

inline bool wanted(const stig_tensor* t) { return t != nullptr && t->data != nullptr; }
inline int64_t image_elements(const stig_tensor& t) { return t.c * t.h * t.w; }
inline int64_t elements(const stig_tensor& t) { return t.n * image_elements(t); }
inline bool contiguous(const stig_tensor& t) { return t.n <= 1 || t.batch_stride == image_elements(t); }

// The upper half of a float. Kernels compute in float and only load and store it.
struct bf16 {
  uint16_t bits;
};

inline float load(float value) { return value; }
inline float load(bf16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

// Rounded to the nearest number of the type, ties to even; NaN stays NaN.
template <typename T>
T rounded(float value);
template <>
inline float rounded(float value) {
  return value;
}
template <>
inline bf16 rounded(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t nearest = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return {static_cast<uint16_t>(value != value ? bits >> 16 | 0x40 : nearest)};
}

// body(zero) with a zero of the element type of t.
template <typename Body>
void with_type(const stig_tensor& t, Body&& body) {
  if (t.type == STIG_BF16) {
    body(bf16{});
  } else {
    body(0.0f);
  }
}

// The descriptor is present and consistent: non-null, positive extents, block 1 or 16 dividing c, images do not
// overlap; not bfloat16.
void check(const stig_tensor* t, const char* name);
// The same for a kernel that also takes bfloat16, which is channel-blocked.
void check_map(const stig_tensor* t, const char* name);
void check_planar(const stig_tensor* t, const char* name);
void check_same_extents(const stig_tensor* a, const char* a_name, const stig_tensor* b, const char* b_name);
// A planar tensor of the extents of another, which has been checked.
void check_planar_like(const stig_tensor* t, const char* name, const stig_tensor* other, const char* other_name);
// Same extents and the same block, so that images correspond element by element.
void check_same_layout(const stig_tensor* a, const char* a_name, const stig_tensor* b, const char* b_name);
// The same for a kernel that also takes bfloat16; of one type.
void check_same_map(const stig_tensor* a, const char* a_name, const stig_tensor* b, const char* b_name);
void check_extents(const stig_tensor* t, const char* name, int64_t n, int64_t c, int64_t h, int64_t w);

template <typename T = float>
T* image(const stig_tensor& t, int64_t i) {
  return static_cast<T*>(t.data) + i * t.batch_stride;
}
// One channel plane of a planar tensor.
template <typename T = float>
T* plane(const stig_tensor& t, int64_t i, int64_t j) {
  return image<T>(t, i) + j * t.h * t.w;
}

// body(index) for index in 0 .. count-1 over the threads; every index is an independent output, so results do not
// depend on the number of threads. The first exception of any index is rethrown in the caller. The only place that
// starts threads of the core's own; with STIG_STD_THREADS they are the standard library's, for ThreadSanitizer.
template <typename Body>
void parallel_for(int64_t count, Body&& body) {
  if (count <= 0) return;
  if (count == 1) {
    body(static_cast<int64_t>(0));
    return;
  }
  std::exception_ptr failure;
#ifdef STIG_STD_THREADS
  const int64_t workers = std::min<int64_t>(count, omp_get_max_threads());
  std::mutex gate;
  std::vector<std::thread> threads;
  for (int64_t worker = 0; worker < workers; ++worker) {
    threads.emplace_back([&, worker] {
      for (int64_t index = worker * count / workers; index < (worker + 1) * count / workers; ++index) {
        try {
          body(index);
        } catch (...) {
          const std::lock_guard<std::mutex> lock(gate);
          if (!failure) failure = std::current_exception();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
#else
#pragma omp parallel for schedule(static)
  for (int64_t index = 0; index < count; ++index) {
    try {
      body(index);
    } catch (...) {
#pragma omp critical(stig_parallel_failure)
      if (!failure) failure = std::current_exception();
    }
  }
#endif
  if (failure) std::rethrow_exception(failure);
}

// body(i, j) for every image i and channel j, over the threads.
template <typename Body>
void each_plane(const stig_tensor& t, Body&& body) {
  parallel_for(t.n * t.c, [&](int64_t k) { body(k / t.c, k % t.c); });
}

// Splits a flat range of elements into chunks worth a thread; body(begin, end).
template <typename Body>
void parallel_chunks(int64_t count, Body&& body) {
  constexpr int64_t chunk = 16384;
  parallel_for((count + chunk - 1) / chunk, [&](int64_t k) {
    const int64_t begin = k * chunk;
    body(begin, begin + chunk < count ? begin + chunk : count);
  });
}

// The same over the images of a batch of n; body(i, begin, end) gets a range of elements of image i.
template <typename Body>
void parallel_spans(int64_t n, int64_t image, Body&& body) {
  parallel_chunks(n * image, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t i = begin / image;
      const int64_t first = begin - i * image;
      const int64_t last = end - i * image < image ? end - i * image : image;
      body(i, first, last);
      begin += last - first;
    }
  });
}

}  // namespace stig

#define STIG_GUARDED(...) return ::stig::guarded(__func__, [&] { __VA_ARGS__ })
