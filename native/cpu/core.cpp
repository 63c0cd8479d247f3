#include <dnnl.hpp>
#include <exception>
#include <new>

#include "common.h"

namespace stig {
namespace {
thread_local std::string last_error;
}

stig_status report_current_exception(const char* function) noexcept {
  stig_status status = STIG_INTERNAL_ERROR;
  try {
    try {
      throw;
    } catch (const Error& e) {
      status = e.status();
      last_error = std::string(function) + ": " + e.what();
    } catch (const dnnl::error& e) {
      status = e.status == dnnl_out_of_memory   ? STIG_OUT_OF_MEMORY
               : e.status == dnnl_unimplemented ? STIG_UNSUPPORTED
                                                : STIG_LIBRARY_FAILURE;
      last_error = std::string(function) + ": oneDNN: " + e.what();
    } catch (const std::bad_alloc&) {
      status = STIG_OUT_OF_MEMORY;
      last_error = std::string(function) + ": out of host memory";
    } catch (const std::exception& e) {
      last_error = std::string(function) + ": " + e.what();
    } catch (...) {
      last_error = std::string(function) + ": unknown exception";
    }
  } catch (...) {
    // Building the sentence itself ran out of memory; the status still tells.
    last_error.clear();
    if (status == STIG_INTERNAL_ERROR) status = STIG_OUT_OF_MEMORY;
  }
  return status;
}

std::string describe(const stig_tensor& t) {
  return std::to_string(t.n) + "x" + std::to_string(t.c) + "x" + std::to_string(t.h) + "x" + std::to_string(t.w) +
         (t.block == 1 ? "" : " block " + std::to_string(t.block)) + (t.type == STIG_BF16 ? " bfloat16" : "");
}

void check(const stig_tensor* t, const char* name) {
  check_map(t, name);
  require(t->type == STIG_F32, std::string(name) + " must not be bfloat16: " + describe(*t));
}

void check_map(const stig_tensor* t, const char* name) {
  require(t != nullptr && t->data != nullptr, std::string(name) + " is null");
  require(t->n > 0 && t->c > 0 && t->h > 0 && t->w > 0, std::string(name) + " has an empty extent: " + describe(*t));
  require(t->block == 1 || (t->block == 16 && t->c % 16 == 0),
          std::string(name) + ": block must be 1, or 16 with channels a multiple of 16: " + describe(*t));
  require(t->n == 1 || t->batch_stride >= image_elements(*t), std::string(name) + ": images overlap: " + describe(*t) +
                                                                  ", batch stride " + std::to_string(t->batch_stride));
  require(t->type == STIG_F32 || (t->type == STIG_BF16 && t->block == 16),
          std::string(name) + ": only channel-blocked maps are bfloat16: " + describe(*t));
}

void check_planar(const stig_tensor* t, const char* name) {
  check(t, name);
  require(t->block == 1, std::string(name) + " must be planar: " + describe(*t));
}

void check_same_extents(const stig_tensor* a, const char* a_name, const stig_tensor* b, const char* b_name) {
  require(a->n == b->n && a->c == b->c && a->h == b->h && a->w == b->w,
          std::string(a_name) + " " + describe(*a) + " does not match " + b_name + " " + describe(*b));
}

void check_planar_like(const stig_tensor* t, const char* name, const stig_tensor* other, const char* other_name) {
  check_planar(t, name);
  check_same_extents(t, name, other, other_name);
}

void check_same_layout(const stig_tensor* a, const char* a_name, const stig_tensor* b, const char* b_name) {
  check(a, a_name);
  check(b, b_name);
  check_same_map(a, a_name, b, b_name);
}

void check_same_map(const stig_tensor* a, const char* a_name, const stig_tensor* b, const char* b_name) {
  check_map(a, a_name);
  check_map(b, b_name);
  check_same_extents(a, a_name, b, b_name);
  require(a->block == b->block && a->type == b->type,
          std::string(a_name) + " " + describe(*a) + " is laid out unlike " + b_name + " " + describe(*b));
}

void check_extents(const stig_tensor* t, const char* name, int64_t n, int64_t c, int64_t h, int64_t w) {
  check_map(t, name);
  const stig_tensor want{nullptr, n, c, h, w, 0, 1, t->type};
  require(t->n == n && t->c == c && t->h == h && t->w == w,
          std::string(name) + " is " + describe(*t) + ", expected " + describe(want));
}
}  // namespace stig

using namespace stig;

const char* stig_last_error(void) { return last_error.c_str(); }

stig_status stig_set_threads(int32_t threads) {
  STIG_GUARDED(require(threads >= 1, "threads must be at least 1, not " + std::to_string(threads));
               omp_set_num_threads(threads););
}

int32_t stig_get_threads(void) { return omp_get_max_threads(); }

stig_status stig_get_core_info(stig_core_info* info) {
  STIG_GUARDED({
    require(info != nullptr, "info is null");
    const dnnl_version_t* version = dnnl_version();
    const char* isa = "generic";
    switch (dnnl_get_effective_cpu_isa()) {
      case dnnl_cpu_isa_sse41: isa = "SSE4.1"; break;
      case dnnl_cpu_isa_avx: isa = "AVX"; break;
      case dnnl_cpu_isa_avx2: isa = "AVX2"; break;
      case dnnl_cpu_isa_avx2_vnni: isa = "AVX2-VNNI"; break;
      case dnnl_cpu_isa_avx512_core: isa = "AVX-512"; break;
      case dnnl_cpu_isa_avx512_core_vnni: isa = "AVX-512 VNNI"; break;
      case dnnl_cpu_isa_avx512_core_bf16: isa = "AVX-512 BF16"; break;
      case dnnl_cpu_isa_avx512_core_amx: isa = "AMX"; break;
      default: break;
    }
    *info = {STIG_CORE_VERSION, STIG_ISA_LEVEL, isa, version->major, version->minor, version->patch};
  });
}
