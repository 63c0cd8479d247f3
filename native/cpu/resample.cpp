// 2x2 maximum and average pooling, and doubling by cubic convolution (Keys 1981) with its exact adjoint.
#include <algorithm>
#include <array>
#include <type_traits>
#include <vector>

#include "common.h"

namespace stig {
namespace {

constexpr int64_t strip = 8;  // rows of the smaller image for one task

// large has twice the height and width of small, in the same layout.
void check_double(const stig_tensor* small, const char* small_name, const stig_tensor* large, const char* large_name) {
  check_map(small, small_name);
  check_map(large, large_name);
  require(large->n == small->n && large->c == small->c && large->h == 2 * small->h && large->w == 2 * small->w &&
              large->block == small->block && large->type == small->type,
          std::string(large_name) + " " + describe(*large) + " is not the double of " + small_name + " " +
              describe(*small));
}

// body(lanes, i, b, begin, end) for rows begin .. end - 1 of block b (one plane when planar) of image i of the smaller
// tensor; lanes is the block as a constant of the type.
template <typename Body>
void each_strip(const stig_tensor& small, Body&& body) {
  const int64_t blocks = small.c / small.block;
  const int64_t strips = (small.h + strip - 1) / strip;
  parallel_for(small.n * blocks * strips, [&](int64_t index) {
    const int64_t i = index / strips / blocks;
    const int64_t b = index / strips % blocks;
    const int64_t begin = index % strips * strip;
    const int64_t end = std::min(begin + strip, small.h);
    if (small.block == 16) {
      body(std::integral_constant<int64_t, 16>(), i, b, begin, end);
    } else {
      body(std::integral_constant<int64_t, 1>(), i, b, begin, end);
    }
  });
}

// The image of one block of channels.
template <typename T = float>
T* block_image(const stig_tensor& t, int64_t i, int64_t b) {
  return image<T>(t, i) + b * t.h * t.w * t.block;
}

// NaN if one of them is; std::max would keep the first or the second as they come.
float largest(float a, float b) { return a > b || a != a ? a : b; }

template <int64_t lanes, typename T>
void pool_row(const T* __restrict upper, const T* __restrict lower, int64_t width, T* __restrict to) {
  for (int64_t x = 0; x < width; ++x) {
    for (int64_t l = 0; l < lanes; ++l) {
      const int64_t k = 2 * x * lanes + l;
      to[x * lanes + l] = rounded<T>(
          largest(largest(load(upper[k]), load(upper[k + lanes])), largest(load(lower[k]), load(lower[k + lanes]))));
    }
  }
}

template <int64_t lanes>
void unpool_row(const float* __restrict upper, const float* __restrict lower, const float* __restrict diff,
                int64_t width, float* __restrict diff_upper, float* __restrict diff_lower) {
  for (int64_t x = 0; x < width; ++x) {
    for (int64_t l = 0; l < lanes; ++l) {
      const int64_t k = 2 * x * lanes + l;
      const float a = upper[k], b = upper[k + lanes], c = lower[k], d = lower[k + lanes];
      const float g = diff[x * lanes + l];
      // The comparisons leave exactly one of the four, the first of equals.
      const bool left_above = b <= a, left_below = d <= c;
      const float above = left_above ? a : b, below = left_below ? c : d;
      const float from_above = below <= above ? g : 0, from_below = below <= above ? 0 : g;
      diff_upper[k] = left_above ? from_above : 0;
      diff_upper[k + lanes] = left_above ? 0 : from_above;
      diff_lower[k] = left_below ? from_below : 0;
      diff_lower[k + lanes] = left_below ? 0 : from_below;
    }
  }
}

template <int64_t lanes>
void average_row(const float* __restrict upper, const float* __restrict lower, int64_t width, float* __restrict to) {
  for (int64_t x = 0; x < width; ++x) {
    for (int64_t l = 0; l < lanes; ++l) {
      const int64_t k = 2 * x * lanes + l;
      to[x * lanes + l] = 0.25f * ((upper[k] + upper[k + lanes]) + (lower[k] + lower[k + lanes]));
    }
  }
}

template <int64_t lanes>
void spread_row(const float* __restrict diff, int64_t width, float* __restrict diff_upper,
                float* __restrict diff_lower) {
  for (int64_t x = 0; x < width; ++x) {
    for (int64_t l = 0; l < lanes; ++l) {
      const int64_t k = 2 * x * lanes + l;
      const float share = 0.25f * diff[x * lanes + l];
      diff_upper[k] = share;
      diff_upper[k + lanes] = share;
      diff_lower[k] = share;
      diff_lower[k + lanes] = share;
    }
  }
}

// Weights of the four nearest source values of an odd destination, which lies 1/4 past the second of them; an even one
// lies 3/4 past and has them reversed.
constexpr float cubic(float x) {
  const float a = -0.75f;
  return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}
constexpr float near[4] = {cubic(1.25f), cubic(0.25f), cubic(0.75f), cubic(1.75f)};
constexpr int64_t margin = 2;  // source values a destination reaches past its own

// to = sum over t of weights[t] rows[t]
template <size_t taps, typename T>
void blend_rows(const std::array<const T*, taps>& rows, const std::array<float, taps>& weights, int64_t count,
                float* __restrict to) {
  for (int64_t k = 0; k < count; ++k) {
    float sum = 0;
    for (size_t t = 0; t < taps; ++t) sum += weights[t] * load(rows[t][k]);
    to[k] = sum;
  }
}

// from: a row with margin values of its ends repeated on either side; to: twice as wide
template <int64_t lanes, typename T>
void widen_row(const float* __restrict from, int64_t width, T* __restrict to) {
  for (int64_t x = 0; x < width; ++x) {
    for (int64_t l = 0; l < lanes; ++l) {
      const float* s = from + x * lanes + l;  // x - 2
      const float a = s[0], b = s[lanes], c = s[2 * lanes], d = s[3 * lanes], e = s[4 * lanes];
      to[2 * x * lanes + l] = rounded<T>(near[3] * a + near[2] * b + near[1] * c + near[0] * d);
      to[(2 * x + 1) * lanes + l] = rounded<T>(near[0] * b + near[1] * c + near[2] * d + near[3] * e);
    }
  }
}

// A source value j reaches the destinations 2 j - 3 .. 2 j + 4, with these weights.
constexpr int64_t reach = 8;
constexpr int64_t first_reached = -3;
using Weights = std::array<float, reach>;
constexpr Weights inside = {near[3], near[0], near[2], near[1], near[1], near[2], near[0], near[3]};

// The same with ends: indices beyond the n source values are its ends, so an end collects what they would give, and
// destinations that do not exist get nothing.
Weights given(int64_t j, int64_t n) {
  Weights sum{};
  for (int64_t beyond = -margin; beyond <= margin; ++beyond) {
    const int64_t source = j + beyond;  // an index whose value is taken from j
    if (std::clamp<int64_t>(source, 0, n - 1) != j) continue;
    for (int64_t t = 0; t < reach; ++t) {
      const int64_t destination = 2 * source + first_reached + t;
      const int64_t slot = destination - (2 * j + first_reached);
      if (destination >= 0 && destination < 2 * n && slot >= 0 && slot < reach) {
        sum[static_cast<size_t>(slot)] += inside[static_cast<size_t>(t)];
      }
    }
  }
  return sum;
}

// The adjoint of widen_row with its repeated ends. from: a row of 2 width values with zeros for the destinations that
// do not exist, 3 before and 4 after.
template <int64_t lanes>
void narrow_row(const float* __restrict from, int64_t width, float* __restrict to) {
  const auto gather = [&](int64_t begin, int64_t end, const Weights weight) {
    for (int64_t x = begin; x < end; ++x) {
      for (int64_t l = 0; l < lanes; ++l) {
        const float* s = from + 2 * x * lanes + l;
        float sum = 0;
        for (int64_t t = 0; t < reach; ++t) sum += weight[static_cast<size_t>(t)] * s[t * lanes];
        to[x * lanes + l] = sum;
      }
    }
  };
  gather(0, 1, given(0, width));
  if (width == 1) return;
  gather(1, width - 1, inside);  // next to the ends, zeros stand for what is missing
  gather(width - 1, width, given(width - 1, width));
}

}  // namespace
}  // namespace stig

using namespace stig;

stig_status stig_max_pool_forward(const stig_tensor* src, const stig_tensor* dst) {
  STIG_GUARDED({
    check_double(dst, "dst", src, "src");
    with_type(*src, [&](auto zero) {
      using T = decltype(zero);
      each_strip(*dst, [&](auto lanes, int64_t i, int64_t b, int64_t begin, int64_t end) {
        const int64_t row = dst->w * lanes;
        for (int64_t y = begin; y < end; ++y) {
          const T* upper = block_image<T>(*src, i, b) + 4 * y * row;
          pool_row<lanes>(upper, upper + 2 * row, dst->w, block_image<T>(*dst, i, b) + y * row);
        }
      });
    });
  });
}

stig_status stig_max_pool_backward(const stig_tensor* src, const stig_tensor* diff_dst, const stig_tensor* diff_src) {
  STIG_GUARDED({
    check(src, "src");
    check_double(diff_dst, "diff_dst", src, "src");
    check_same_layout(diff_src, "diff_src", src, "src");
    each_strip(*diff_dst, [&](auto lanes, int64_t i, int64_t b, int64_t begin, int64_t end) {
      const int64_t row = diff_dst->w * lanes;
      for (int64_t y = begin; y < end; ++y) {
        const float* upper = block_image(*src, i, b) + 4 * y * row;
        float* diff_upper = block_image(*diff_src, i, b) + 4 * y * row;
        unpool_row<lanes>(upper, upper + 2 * row, block_image(*diff_dst, i, b) + y * row, diff_dst->w, diff_upper,
                          diff_upper + 2 * row);
      }
    });
  });
}

stig_status stig_average_pool_forward(const stig_tensor* src, const stig_tensor* dst) {
  STIG_GUARDED({
    check(src, "src");
    check_double(dst, "dst", src, "src");
    each_strip(*dst, [&](auto lanes, int64_t i, int64_t b, int64_t begin, int64_t end) {
      const int64_t row = dst->w * lanes;
      for (int64_t y = begin; y < end; ++y) {
        const float* upper = block_image(*src, i, b) + 4 * y * row;
        average_row<lanes>(upper, upper + 2 * row, dst->w, block_image(*dst, i, b) + y * row);
      }
    });
  });
}

stig_status stig_average_pool_backward(const stig_tensor* diff_dst, const stig_tensor* diff_src) {
  STIG_GUARDED({
    check(diff_dst, "diff_dst");
    check_double(diff_dst, "diff_dst", diff_src, "diff_src");
    each_strip(*diff_dst, [&](auto lanes, int64_t i, int64_t b, int64_t begin, int64_t end) {
      const int64_t row = diff_dst->w * lanes;
      for (int64_t y = begin; y < end; ++y) {
        float* diff_upper = block_image(*diff_src, i, b) + 4 * y * row;
        spread_row<lanes>(block_image(*diff_dst, i, b) + y * row, diff_dst->w, diff_upper, diff_upper + 2 * row);
      }
    });
  });
}

stig_status stig_bicubic_up2_forward(const stig_tensor* src, const stig_tensor* dst) {
  STIG_GUARDED({
    check_double(src, "src", dst, "dst");
    with_type(*src, [&](auto zero) {
      using T = decltype(zero);
      each_strip(*src, [&](auto lanes, int64_t i, int64_t b, int64_t begin, int64_t end) {
        const int64_t row = src->w * lanes;
        const T* from = block_image<T>(*src, i, b);
        T* to = block_image<T>(*dst, i, b);
        std::vector<float> blended(static_cast<size_t>(row + 2 * margin * lanes));
        float* middle = blended.data() + margin * lanes;
        for (int64_t y = 2 * begin; y < 2 * end; ++y) {
          const bool odd = y % 2 == 1;
          std::array<const T*, 4> rows;
          std::array<float, 4> weights;
          for (int64_t t = 0; t < 4; ++t) {
            const int64_t at = y / 2 + t - (odd ? 1 : 2);
            rows[static_cast<size_t>(t)] = from + std::clamp<int64_t>(at, 0, src->h - 1) * row;
            weights[static_cast<size_t>(t)] = near[odd ? t : 3 - t];
          }
          blend_rows(rows, weights, row, middle);
          for (int64_t m = 0; m < margin; ++m) {
            std::copy(middle, middle + lanes, blended.data() + m * lanes);
            std::copy(middle + row - lanes, middle + row, middle + row + m * lanes);
          }
          widen_row<lanes>(blended.data(), src->w, to + 2 * y * row);
        }
      });
    });
  });
}

stig_status stig_bicubic_up2_backward(const stig_tensor* diff_dst, const stig_tensor* diff_src) {
  STIG_GUARDED({
    check(diff_dst, "diff_dst");
    check_double(diff_src, "diff_src", diff_dst, "diff_dst");
    each_strip(*diff_src, [&](auto lanes, int64_t i, int64_t b, int64_t begin, int64_t end) {
      const int64_t row = 2 * diff_src->w * lanes;
      const float* from = block_image(*diff_dst, i, b);
      float* to = block_image(*diff_src, i, b);
      std::vector<float> blended(static_cast<size_t>(row + (reach - 1) * lanes));
      for (int64_t y = begin; y < end; ++y) {
        std::array<const float*, reach> rows;
        for (int64_t t = 0; t < reach; ++t) {
          // A row that does not exist has weight 0.
          const int64_t at = std::clamp<int64_t>(2 * y + first_reached + t, 0, diff_dst->h - 1);
          rows[static_cast<size_t>(t)] = from + at * row;
        }
        blend_rows(rows, given(y, diff_src->h), row, blended.data() - first_reached * lanes);
        narrow_row<lanes>(blended.data(), diff_src->w, to + y * row / 2);
      }
    });
  });
}
