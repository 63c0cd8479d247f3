// Mean over rings around the centre of a spectrum: a segmented sum. Each pixel adds to the bin of its ring, once.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "common.h"

namespace stig {
namespace {

// The centre is at (h / 2, w / 2) rounded down, where the shifts of spectrum.cpp put frequency zero. The corner at (0,
// 0) is the farthest pixel of both kinds, and no ring on the way to it is empty.
int64_t ring_of(int64_t dy, int64_t dx, int32_t kind) {
  if (kind == STIG_RINGS_RECT) return std::max(std::abs(dy), std::abs(dx));
  // Exact: the square root of an integer below 2^52 rounds to an integer only if it is one.
  return static_cast<int64_t>(std::sqrt(static_cast<double>(dy * dy + dx * dx)));
}

bool known(int32_t kind) { return kind == STIG_RINGS_RECT || kind == STIG_RINGS_RADIAL; }

struct Rings {
  Rings(int64_t h, int64_t w, int32_t kind) : index(static_cast<size_t>(h * w)) {
    require(known(kind), "rings must be rect or radial");
    count.resize(static_cast<size_t>(stig_ring_count(h, w, kind)));
    for (int64_t y = 0; y < h; ++y) {
      for (int64_t x = 0; x < w; ++x) {
        const int64_t r = ring_of(y - h / 2, x - w / 2, kind);
        index[y * w + x] = static_cast<int32_t>(r);
        ++count[r];
      }
    }
  }

  std::vector<int32_t> index;  // of each pixel
  std::vector<int64_t> count;  // pixels in each ring
};

void check_profile(const stig_tensor* profile, const char* name, const stig_tensor& spectrum, const Rings& rings) {
  check_extents(profile, name, spectrum.n, static_cast<int64_t>(rings.count.size()), 1, 1);
}

}  // namespace
}  // namespace stig

using namespace stig;

int64_t stig_ring_count(int64_t h, int64_t w, int32_t kind) {
  return h > 0 && w > 0 && known(kind) ? ring_of(h / 2, w / 2, kind) + 1 : 0;
}

stig_status stig_ring_profile_forward(const stig_tensor* src, const float* channel_weights, int32_t kind,
                                      const stig_tensor* dst) {
  STIG_GUARDED({
    check_planar(src, "src");
    require(channel_weights != nullptr, "channel_weights is null");
    const Rings rings(src->h, src->w, kind);
    check_profile(dst, "dst", *src, rings);
    const int64_t pixels = src->h * src->w;
    parallel_for(src->n, [&](int64_t i) {
      std::vector<double> sums(rings.count.size());
      for (int64_t j = 0; j < src->c; ++j) {
        const float* x = plane(*src, i, j);
        const double weight = channel_weights[j];
        for (int64_t k = 0; k < pixels; ++k) sums[rings.index[k]] += weight * x[k];
      }
      float* profile = image(*dst, i);
      for (size_t r = 0; r < sums.size(); ++r) profile[r] = static_cast<float>(sums[r] / rings.count[r]);
    });
  });
}

stig_status stig_ring_profile_backward(const stig_tensor* diff_dst, const float* channel_weights, int32_t kind,
                                       const stig_tensor* diff_src) {
  STIG_GUARDED({
    check_planar(diff_src, "diff_src");
    require(channel_weights != nullptr, "channel_weights is null");
    const Rings rings(diff_src->h, diff_src->w, kind);
    check_profile(diff_dst, "diff_dst", *diff_src, rings);
    const int64_t pixels = diff_src->h * diff_src->w;
    each_plane(*diff_src, [&](int64_t i, int64_t j) {
      const float* diff_profile = image(*diff_dst, i);
      std::vector<float> share(rings.count.size());
      for (size_t r = 0; r < share.size(); ++r) {
        share[r] = channel_weights[j] * diff_profile[r] / static_cast<float>(rings.count[r]);
      }
      float* dx = plane(*diff_src, i, j);
      for (int64_t p = 0; p < pixels; ++p) dx[p] = share[rings.index[p]];
    });
  });
}
