// Min-max scaling of a whole tensor or of each image, its gradient through the extremes, and its inverse. Every loop
// follows memory, so feature maps of either layout and rows [n, k] are all the same to it.
#include <limits>

#include "common.h"
#include "reduce.h"

namespace stig {
namespace {

void check_values(const stig_tensor* t, const char* name, int64_t count) {
  check(t, name);
  require(elements(*t) == count && contiguous(*t),
          std::string(name) + " is " + describe(*t) + ", expected " + std::to_string(count) + " contiguous values");
}

// lo and hi hold one value for each image or one for all; the stride from one image's value to the next.
int64_t check_extremes(const stig_tensor* lo, const stig_tensor* hi, int64_t n) {
  check(lo, "lo");
  const int64_t count = elements(*lo) == 1 ? 1 : n;
  check_values(lo, "lo", count);
  check_values(hi, "hi", count);
  return count == 1 ? 0 : 1;
}

struct Extremes {
  float lo = std::numeric_limits<float>::infinity();
  float hi = -std::numeric_limits<float>::infinity();

  void add(float low, float high) {
    lo = low < lo ? low : lo;
    hi = high > hi ? high : hi;
  }
};

// NaN is passed over here; it shows in the scaled values.
Extremes extremes(const float* x, int64_t count) {
  constexpr int64_t lanes = 16;
  Extremes lane[lanes];
  int64_t index = 0;
  for (; index + lanes <= count; index += lanes) {
    for (int64_t l = 0; l < lanes; ++l) lane[l].add(x[index + l], x[index + l]);
  }
  for (; index < count; ++index) lane[0].add(x[index], x[index]);
  Extremes all;
  for (const Extremes& e : lane) all.add(e.lo, e.hi);
  return all;
}

// The order of a minimum does not matter, so the chunks may be as they come.
Extremes image_extremes(const float* x, int64_t count) {
  constexpr int64_t chunk = 16384;
  if (count <= chunk) return extremes(x, count);
  std::vector<Extremes> partial(static_cast<size_t>((count + chunk - 1) / chunk));
  parallel_for(static_cast<int64_t>(partial.size()), [&](int64_t k) {
    const int64_t begin = k * chunk;
    partial[k] = extremes(x + begin, begin + chunk < count ? chunk : count - begin);
  });
  Extremes all;
  for (const Extremes& e : partial) all.add(e.lo, e.hi);
  return all;
}

}  // namespace
}  // namespace stig

using namespace stig;

stig_status stig_range_normalize_forward(const stig_tensor* src, int32_t per_image, float scale, float offset,
                                         const stig_tensor* dst, const stig_tensor* lo, const stig_tensor* hi) {
  STIG_GUARDED({
    check_same_layout(dst, "dst", src, "src");
    const int64_t groups = per_image ? src->n : 1;
    check_values(lo, "lo", groups);
    check_values(hi, "hi", groups);
    const int64_t count = image_elements(*src);
    float* lows = image(*lo, 0);
    float* highs = image(*hi, 0);
    for (int64_t g = 0; g < groups; ++g) {
      Extremes all;
      for (int64_t i = per_image ? g : 0; i < (per_image ? g + 1 : src->n); ++i) {
        const Extremes e = image_extremes(image(*src, i), count);
        all.add(e.lo, e.hi);
      }
      lows[g] = all.lo;
      highs[g] = all.hi;
    }
    for (int64_t i = 0; i < src->n; ++i) {
      const float low = lows[per_image ? i : 0];
      const float high = highs[per_image ? i : 0];
      const float range = high - low;
      const float* x = image(*src, i);
      float* y = image(*dst, i);
      parallel_chunks(count, [&](int64_t begin, int64_t end) {
        if (high == low) {
          for (int64_t k = begin; k < end; ++k) y[k] = offset;
        } else {
          // Divided before scaled: the largest value becomes scale + offset exactly.
          for (int64_t k = begin; k < end; ++k) y[k] = scale * ((x[k] - low) / range) + offset;
        }
      });
    }
  });
}

stig_status stig_range_normalize_backward(const stig_tensor* src, const stig_tensor* lo, const stig_tensor* hi,
                                          const stig_tensor* diff_dst, int32_t per_image, float scale,
                                          const stig_tensor* diff_src) {
  STIG_GUARDED({
    check_same_layout(diff_dst, "diff_dst", src, "src");
    check_same_layout(diff_src, "diff_src", src, "src");
    const int64_t groups = per_image ? src->n : 1;
    check_values(lo, "lo", groups);
    check_values(hi, "hi", groups);
    const int64_t count = image_elements(*src);
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t first = per_image ? g : 0;
      const int64_t last = per_image ? g + 1 : src->n;
      const float low = image(*lo, 0)[g];
      const float high = image(*hi, 0)[g];
      // y = scale t + offset, t = (x - lo) / (hi - lo):
      //   dx = scale / (hi - lo) dy,   d lo = -scale / (hi - lo) sum (1 - t) dy,   d hi = -scale / (hi - lo) sum t dy.
      double sum = 0;      // of dy
      double moment = 0;   // of (x - lo) dy
      double at_low = 0;   // how many values are the minimum
      double at_high = 0;  // and the maximum
      if (high != low) {
        for (int64_t i = first; i < last; ++i) {
          const float* x = image(*src, i);
          const float* dy = image(*diff_dst, i);
          sum += ordered_sum(count, [=](int64_t k) { return static_cast<double>(dy[k]); });
          moment += ordered_sum(count, [=](int64_t k) { return (static_cast<double>(x[k]) - low) * dy[k]; });
          at_low += ordered_sum(count, [=](int64_t k) { return x[k] == low ? 1.0 : 0.0; });
          at_high += ordered_sum(count, [=](int64_t k) { return x[k] == high ? 1.0 : 0.0; });
        }
      }
      const double range = static_cast<double>(high) - low;
      const double slope = scale / range;
      const float direct = static_cast<float>(slope);
      const float low_share = static_cast<float>(-slope * (sum - moment / range) / at_low);
      const float high_share = static_cast<float>(-slope * (moment / range) / at_high);
      for (int64_t i = first; i < last; ++i) {
        const float* x = image(*src, i);
        const float* dy = image(*diff_dst, i);
        float* dx = image(*diff_src, i);
        parallel_chunks(count, [&](int64_t begin, int64_t end) {
          if (high == low) {
            for (int64_t k = begin; k < end; ++k) dx[k] = 0;
          } else {
            for (int64_t k = begin; k < end; ++k) {
              const float through = x[k] == low ? low_share : x[k] == high ? high_share : 0.0f;
              dx[k] = direct * dy[k] + through;
            }
          }
        });
      }
    }
  });
}

stig_status stig_range_denormalize_forward(const stig_tensor* src, const stig_tensor* lo, const stig_tensor* hi,
                                           float scale, float offset, const stig_tensor* dst) {
  STIG_GUARDED({
    check_same_layout(dst, "dst", src, "src");
    require(scale != 0, "scale is 0");
    const int64_t step = check_extremes(lo, hi, src->n);
    for (int64_t i = 0; i < src->n; ++i) {
      const float low = image(*lo, 0)[i * step];
      const float range = image(*hi, 0)[i * step] - low;
      const float* x = image(*src, i);
      float* y = image(*dst, i);
      parallel_chunks(image_elements(*src), [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) y[k] = (x[k] - offset) / scale * range + low;
      });
    }
  });
}

stig_status stig_range_denormalize_backward(const stig_tensor* diff_dst, const stig_tensor* lo, const stig_tensor* hi,
                                            float scale, const stig_tensor* diff_src) {
  STIG_GUARDED({
    check_same_layout(diff_src, "diff_src", diff_dst, "diff_dst");
    require(scale != 0, "scale is 0");
    const int64_t step = check_extremes(lo, hi, diff_dst->n);
    for (int64_t i = 0; i < diff_dst->n; ++i) {
      const float slope = (image(*hi, 0)[i * step] - image(*lo, 0)[i * step]) / scale;
      const float* dy = image(*diff_dst, i);
      float* dx = image(*diff_src, i);
      parallel_chunks(image_elements(*diff_dst), [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) dx[k] = slope * dy[k];
      });
    }
  });
}
