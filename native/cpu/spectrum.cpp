// Log-magnitude spectrum with phasor, its inverse, and both gradients. Shifts are index maps on load and store.
#include <kissfft/kiss_fftnd.h>

#include <cmath>
#include <complex>
#include <memory>
#include <vector>

#include "common.h"

namespace stig {
namespace {

using complex = std::complex<float>;
static_assert(sizeof(complex) == sizeof(kiss_fft_cpx), "KissFFT must be the float build");

// One thread's plan and buffers for planes of one size. KissFFT's n-dimensional plan owns scratch, so a plan may not be
// shared between threads; each thread keeps the last one it used in either direction.
class PlaneFft {
 public:
  PlaneFft(int64_t h, int64_t w, bool inverse) : h_(h), w_(w) {
    const int dims[2] = {static_cast<int>(h), static_cast<int>(w)};
    plan_.reset(kiss_fftnd_alloc(dims, 2, inverse ? 1 : 0, nullptr, nullptr));
    if (!plan_) throw std::bad_alloc();
    in.resize(static_cast<size_t>(h * w));
    out.resize(static_cast<size_t>(h * w));
  }

  static PlaneFft& get(int64_t h, int64_t w, bool inverse) {
    thread_local std::unique_ptr<PlaneFft> cache[2];
    std::unique_ptr<PlaneFft>& slot = cache[inverse ? 1 : 0];
    if (!slot || slot->h_ != h || slot->w_ != w) slot = std::make_unique<PlaneFft>(h, w, inverse);
    return *slot;
  }

  void run() {
    kiss_fftnd(plan_.get(), reinterpret_cast<const kiss_fft_cpx*>(in.data()),
               reinterpret_cast<kiss_fft_cpx*>(out.data()));
  }

  std::vector<complex> in, out;

 private:
  struct Free {
    void operator()(kiss_fftnd_cfg plan) const { kiss_fft_free(plan); }
  };
  int64_t h_, w_;
  std::unique_ptr<kiss_fftnd_state, Free> plan_;
};

// body(source index, destination index) for destination = source rolled by (dy, dx), 0 <= dy < h, 0 <= dx < w.
template <typename Body>
void rolled(int64_t h, int64_t w, int64_t dy, int64_t dx, Body&& body) {
  for (int64_t y = 0; y < h; ++y) {
    const int64_t to_y = y + dy < h ? y + dy : y + dy - h;
    for (int64_t x = 0; x < w; ++x) {
      const int64_t to_x = x + dx < w ? x + dx : x + dx - w;
      body(y * w + x, to_y * w + to_x);
    }
  }
}

// Roll by floor(extent / 2), or by its negative, as a roll in 0 .. extent - 1.
int64_t shift_of(int64_t extent, int32_t direction) {
  return direction == STIG_SHIFT ? extent / 2 : (extent - extent / 2) % extent;
}

void check_options(int32_t component, int32_t final_shift) {
  require(component == STIG_IMAGE_MODULUS || component == STIG_IMAGE_REAL, "component must be modulus or real");
  require(final_shift == STIG_SHIFT || final_shift == STIG_INVERSE_SHIFT, "final_shift must be shift or inverse shift");
}

}  // namespace
}  // namespace stig

using namespace stig;

stig_status stig_log_spectrum_forward(const stig_tensor* src, const stig_tensor* magnitude, const stig_tensor* phasor) {
  STIG_GUARDED({
    check_planar(src, "src");
    check_planar_like(magnitude, "magnitude", src, "src");
    if (wanted(phasor)) check_planar_like(phasor, "phasor", src, "src");
    const int64_t h = src->h;
    const int64_t w = src->w;
    each_plane(*src, [&](int64_t i, int64_t j) {
      PlaneFft& fft = PlaneFft::get(h, w, false);
      const float* x = plane(*src, i, j);
      rolled(h, w, h / 2, w / 2, [&](int64_t from, int64_t to) { fft.in[to] = x[from]; });
      fft.run();
      float* m = plane(*magnitude, i, j);
      complex* p = wanted(phasor) ? plane<complex>(*phasor, i, j) : nullptr;
      rolled(h, w, h / 2, w / 2, [&](int64_t from, int64_t to) {
        const complex f = fft.out[from];
        const float r = std::hypot(f.real(), f.imag());
        m[to] = std::log1p(r);
        if (p) p[to] = r > 0 ? f / r : complex(1, 0);
      });
    });
  });
}

stig_status stig_log_spectrum_backward(const stig_tensor* magnitude, const stig_tensor* phasor,
                                       const stig_tensor* diff_magnitude, const stig_tensor* diff_src) {
  STIG_GUARDED({
    check_planar(magnitude, "magnitude");
    check_planar_like(phasor, "phasor", magnitude, "magnitude");
    check_planar_like(diff_magnitude, "diff_magnitude", magnitude, "magnitude");
    check_planar_like(diff_src, "diff_src", magnitude, "magnitude");
    const int64_t h = magnitude->h;
    const int64_t w = magnitude->w;
    each_plane(*magnitude, [&](int64_t i, int64_t j) {
      // M = log(1 + |F|): dF = dM / (1 + |F|) P, and the adjoint of the unnormalised transform is the inverse transform
      // without its 1 / (h w), which is what KissFFT computes.
      PlaneFft& fft = PlaneFft::get(h, w, true);
      const float* m = plane(*magnitude, i, j);
      const complex* p = plane<complex>(*phasor, i, j);
      const float* dm = plane(*diff_magnitude, i, j);
      rolled(h, w, shift_of(h, STIG_INVERSE_SHIFT), shift_of(w, STIG_INVERSE_SHIFT), [&](int64_t from, int64_t to) {
        fft.in[to] = m[from] > 0 ? p[from] * (dm[from] * std::exp(-m[from])) : complex(0, 0);
      });
      fft.run();
      float* dx = plane(*diff_src, i, j);
      rolled(h, w, shift_of(h, STIG_INVERSE_SHIFT), shift_of(w, STIG_INVERSE_SHIFT),
             [&](int64_t from, int64_t to) { dx[to] = fft.out[from].real(); });
    });
  });
}

stig_status stig_inverse_spectrum_forward(const stig_tensor* magnitude, const stig_tensor* phasor, int32_t component,
                                          int32_t final_shift, const stig_tensor* dst, const stig_tensor* field) {
  STIG_GUARDED({
    check_planar(magnitude, "magnitude");
    check_planar_like(phasor, "phasor", magnitude, "magnitude");
    check_planar_like(dst, "dst", magnitude, "magnitude");
    if (wanted(field)) check_planar_like(field, "field", magnitude, "magnitude");
    check_options(component, final_shift);
    const int64_t h = magnitude->h;
    const int64_t w = magnitude->w;
    const float scale = 1.0f / static_cast<float>(h * w);
    each_plane(*magnitude, [&](int64_t i, int64_t j) {
      PlaneFft& fft = PlaneFft::get(h, w, true);
      const float* m = plane(*magnitude, i, j);
      const complex* p = plane<complex>(*phasor, i, j);
      rolled(h, w, shift_of(h, STIG_INVERSE_SHIFT), shift_of(w, STIG_INVERSE_SHIFT),
             [&](int64_t from, int64_t to) { fft.in[to] = p[from] * std::expm1(m[from]); });
      fft.run();
      float* x = plane(*dst, i, j);
      complex* z = wanted(field) ? plane<complex>(*field, i, j) : nullptr;
      rolled(h, w, shift_of(h, final_shift), shift_of(w, final_shift), [&](int64_t from, int64_t to) {
        const complex value = fft.out[from] * scale;
        x[to] = component == STIG_IMAGE_REAL ? value.real() : std::hypot(value.real(), value.imag());
        if (z) z[to] = value;
      });
    });
  });
}

stig_status stig_inverse_spectrum_backward(const stig_tensor* magnitude, const stig_tensor* phasor,
                                           const stig_tensor* field, const stig_tensor* diff_dst, int32_t component,
                                           int32_t final_shift, const stig_tensor* diff_magnitude) {
  STIG_GUARDED({
    check_planar(magnitude, "magnitude");
    check_planar_like(phasor, "phasor", magnitude, "magnitude");
    check_planar_like(diff_dst, "diff_dst", magnitude, "magnitude");
    check_planar_like(diff_magnitude, "diff_magnitude", magnitude, "magnitude");
    check_options(component, final_shift);
    if (component == STIG_IMAGE_MODULUS) {
      check_planar_like(field, "field", magnitude, "magnitude");
    }
    const int64_t h = magnitude->h;
    const int64_t w = magnitude->w;
    const float scale = 1.0f / static_cast<float>(h * w);
    each_plane(*magnitude, [&](int64_t i, int64_t j) {
      PlaneFft& fft = PlaneFft::get(h, w, false);
      const float* dx = plane(*diff_dst, i, j);
      const complex* z = component == STIG_IMAGE_MODULUS ? plane<complex>(*field, i, j) : nullptr;
      // Undo the final shift, then the adjoint of the scaled inverse transform: the forward transform times the scale.
      const int32_t undo = final_shift == STIG_SHIFT ? STIG_INVERSE_SHIFT : STIG_SHIFT;
      rolled(h, w, shift_of(h, undo), shift_of(w, undo), [&](int64_t from, int64_t to) {
        if (!z) {
          fft.in[to] = dx[from];
        } else {
          const float r = std::hypot(z[from].real(), z[from].imag());
          fft.in[to] = r > 0 ? z[from] * (dx[from] / r) : complex(0, 0);
        }
      });
      fft.run();
      const float* m = plane(*magnitude, i, j);
      const complex* p = plane<complex>(*phasor, i, j);
      float* dm = plane(*diff_magnitude, i, j);
      rolled(h, w, h / 2, w / 2, [&](int64_t from, int64_t to) {
        const complex df = fft.out[from] * scale;
        dm[to] = (p[to].real() * df.real() + p[to].imag() * df.imag()) * std::exp(m[to]);
      });
    });
  });
}
