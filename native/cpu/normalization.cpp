// Batch and instance normalisation with its activation. Statistics are gathered in one pass over memory: every chunk of
// a channel is reduced in two passes while it is in the cache, and the chunks' moments are merged in double (Chan,
// Golub and LeVeque 1983). Chunks have a fixed size, so neither the threads nor the rest of the batch change a result.
// dst may be src, and diff_src may be diff_dst.
#include <algorithm>
#include <cmath>
#include <vector>

#include "common.h"

namespace stig {
namespace {

constexpr int64_t lanes = 16;
constexpr int64_t chunk = 32768;  // floats, a multiple of lanes: 128 KiB of each operand

// A feature map as rows of consecutive floats: one row holds the channels of one block (16, or a single one when
// planar) of one image. Rows are cut into chunks; lane l of a chunk, its elements l, l + 16, ..., belongs to channel l
// of the block, or to the only one.
struct Rows {
  explicit Rows(const stig_tensor& t)
      : n(t.n),
        c(t.c),
        block(t.block),
        blocks(t.c / t.block),
        length(t.h * t.w * t.block),
        chunks((length + chunk - 1) / chunk) {}

  // body(i, b, k, begin, end): chunk k of block b of image i
  template <typename Body>
  void each_chunk(Body&& body) const {
    parallel_for(n * blocks * chunks, [&](int64_t index) {
      const int64_t k = index % chunks;
      body(index / chunks / blocks, index / chunks % blocks, k, k * chunk, std::min((k + 1) * chunk, length));
    });
  }
  // The place of channel b * block's number in an array with one number for every image, chunk and channel.
  int64_t partial(int64_t i, int64_t b, int64_t k) const { return (i * chunks + k) * c + b * block; }
  int64_t partials() const { return n * chunks * c; }
  // Values of one channel in chunk k.
  double count(int64_t k) const { return static_cast<double>((std::min((k + 1) * chunk, length) - k * chunk) / block); }

  int64_t n, c, block, blocks, length, chunks;
};

// Sums term(k, l) over the elements k of lane l in begin .. end - 1 and adds lanes that are one channel:
// into[0 .. block - 1].
template <typename Term>
void sum_lanes(int64_t begin, int64_t end, int64_t block, double* into, Term&& term) {
  // Four sums at a time: additions that wait for one another would take four times as long.
  constexpr int64_t chains = 4;
  double partial[chains][lanes] = {};
  int64_t k = begin;
  for (; k + chains * lanes <= end; k += chains * lanes) {
    for (int64_t chain = 0; chain < chains; ++chain) {
#pragma omp simd
      for (int64_t l = 0; l < lanes; ++l) partial[chain][l] += term(k + chain * lanes + l, l);
    }
  }
  double sum[lanes];
  for (int64_t l = 0; l < lanes; ++l) {
    sum[l] = (partial[0][l] + partial[1][l]) + (partial[2][l] + partial[3][l]);
  }
  for (; k + lanes <= end; k += lanes) {
    for (int64_t l = 0; l < lanes; ++l) sum[l] += term(k + l, l);
  }
  for (int64_t l = 0; k < end; ++k, ++l) sum[l] += term(k, l);
  if (block == lanes) {
    std::copy(sum, sum + lanes, into);
  } else {
    *into = 0;
    for (double s : sum) *into += s;
  }
}

// A number for each lane, from the block's numbers.
struct Lanes {
  Lanes(const float* values, int64_t block, float otherwise) {
    for (int64_t l = 0; l < lanes; ++l) v[l] = values ? values[block == lanes ? l : 0] : otherwise;
  }
  float v[lanes];
};

template <typename Body>
void each_lane(int64_t begin, int64_t end, Body&& body) {
  int64_t k = begin;
  for (; k + lanes <= end; k += lanes) {
#pragma omp simd
    for (int64_t l = 0; l < lanes; ++l) body(k + l, l);
  }
  for (int64_t l = 0; k < end; ++k, ++l) body(k, l);
}

const float* optional(const stig_tensor* t, const char* name, int64_t c) {
  if (!wanted(t)) return nullptr;
  check_planar(t, name);
  check_extents(t, name, 1, c, 1, 1);
  return image(*t, 0);
}

void check_statistics(const stig_tensor* mean, const stig_tensor* variance, int64_t rows, int64_t c) {
  check_planar(mean, "mean");
  check_planar(variance, "variance");
  check_extents(mean, "mean", rows, c, 1, 1);
  check_extents(variance, "variance", rows, c, 1, 1);
}

int64_t statistics_rows(const stig_tensor& src, int32_t statistics) {
  require(statistics == STIG_STATISTICS_BATCH || statistics == STIG_STATISTICS_PER_IMAGE,
          "statistics must be batch or per image");
  return statistics == STIG_STATISTICS_BATCH ? 1 : src.n;
}

void check_options(float eps, float slope) {
  require(eps > 0, "eps must be positive, but is " + std::to_string(eps));
  require(slope >= 0, "slope must not be negative, but is " + std::to_string(slope));
}

double inverse_deviation(float variance, float eps) { return 1 / std::sqrt(static_cast<double>(variance) + eps); }

// mean and variance of every row of statistics
template <typename T>
void gather_statistics(const stig_tensor& src, const stig_tensor& mean, const stig_tensor& variance) {
  const Rows rows(src);
  std::vector<double> means(static_cast<size_t>(rows.partials()));
  // Sums of squared deviations from the mean of the chunk.
  std::vector<double> squares(static_cast<size_t>(rows.partials()));
  rows.each_chunk([&](int64_t i, int64_t b, int64_t k, int64_t begin, int64_t end) {
    const T* x = image<T>(src, i) + b * rows.length;
    const double count = rows.count(k);
    double* m = means.data() + rows.partial(i, b, k);
    double* s = squares.data() + rows.partial(i, b, k);
    sum_lanes(begin, end, rows.block, m, [=](int64_t e, int64_t) { return static_cast<double>(load(x[e])); });
    float centre[lanes];
    for (int64_t j = 0; j < rows.block; ++j) centre[j] = static_cast<float>(m[j] /= count);
    const Lanes c(centre, rows.block, 0);
    sum_lanes(begin, end, rows.block, s, [=, &c](int64_t e, int64_t l) {
      const float d = load(x[e]) - c.v[l];
      return static_cast<double>(d * d);
    });
    // The deviations were taken from the rounded mean.
    for (int64_t j = 0; j < rows.block; ++j) s[j] -= count * (m[j] - centre[j]) * (m[j] - centre[j]);
  });
  const int64_t images = rows.n / mean.n;  // behind each statistic
  parallel_for(mean.n * rows.c, [&](int64_t index) {
    const int64_t g = index / rows.c;
    const int64_t j = index % rows.c;
    double total = 0, m = 0, s = 0;
    for (int64_t i = g * images; i < (g + 1) * images; ++i) {
      for (int64_t k = 0; k < rows.chunks; ++k) {
        const int64_t at = (i * rows.chunks + k) * rows.c + j;
        const double count = rows.count(k);
        const double d = means[at] - m;
        s += squares[at] + d * d * total * count / (total + count);
        total += count;
        m += d * count / total;
      }
    }
    image(mean, g)[j] = static_cast<float>(m);
    image(variance, g)[j] = static_cast<float>(std::max(s / total, 0.0));
  });
}

// dst = act((src - mean) / sqrt(variance + eps) gamma + beta); statistics of one row serve every image
template <typename T>
void normalize(const stig_tensor& src, const float* gamma, const float* beta, const stig_tensor& mean,
               const stig_tensor& variance, float eps, float slope, const stig_tensor& dst) {
  const Rows rows(src);
  rows.each_chunk([&](int64_t i, int64_t b, int64_t, int64_t begin, int64_t end) {
    const int64_t g = mean.n == 1 ? 0 : i;
    const int64_t j0 = b * rows.block;
    float factor[lanes];
    for (int64_t j = 0; j < rows.block; ++j) {
      factor[j] = static_cast<float>(inverse_deviation(image(variance, g)[j0 + j], eps) * (gamma ? gamma[j0 + j] : 1));
    }
    const Lanes centre(image(mean, g) + j0, rows.block, 0);
    const Lanes scale(factor, rows.block, 1);
    const Lanes offset(beta ? beta + j0 : nullptr, rows.block, 0);
    const T* x = image<T>(src, i) + b * rows.length;
    T* y = image<T>(dst, i) + b * rows.length;
    each_lane(begin, end, [=, &centre, &scale, &offset](int64_t e, int64_t l) {
      const float v = (load(x[e]) - centre.v[l]) * scale.v[l] + offset.v[l];
      y[e] = rounded<T>(v > 0 ? v : slope * v);
    });
  });
}

}  // namespace
}  // namespace stig

using namespace stig;

stig_status stig_normalization_forward(const stig_tensor* src, const stig_tensor* gamma, const stig_tensor* beta,
                                       int32_t statistics, float eps, float slope, const stig_tensor* dst,
                                       const stig_tensor* mean, const stig_tensor* variance) {
  STIG_GUARDED({
    check_same_map(dst, "dst", src, "src");
    check_statistics(mean, variance, statistics_rows(*src, statistics), src->c);
    check_options(eps, slope);
    const float* scale = optional(gamma, "gamma", src->c);
    const float* offset = optional(beta, "beta", src->c);
    with_type(*src, [&](auto zero) {
      gather_statistics<decltype(zero)>(*src, *mean, *variance);
      normalize<decltype(zero)>(*src, scale, offset, *mean, *variance, eps, slope, *dst);
    });
  });
}

stig_status stig_normalization_running(const stig_tensor* src, const stig_tensor* gamma, const stig_tensor* beta,
                                       const stig_tensor* mean, const stig_tensor* variance, float eps, float slope,
                                       const stig_tensor* dst) {
  STIG_GUARDED({
    check_same_map(dst, "dst", src, "src");
    require(mean != nullptr && (mean->n == 1 || mean->n == src->n), "statistics must be one row, or one an image");
    check_statistics(mean, variance, mean->n, src->c);
    check_options(eps, slope);
    const float* scale = optional(gamma, "gamma", src->c);
    const float* offset = optional(beta, "beta", src->c);
    with_type(*src,
              [&](auto zero) { normalize<decltype(zero)>(*src, scale, offset, *mean, *variance, eps, slope, *dst); });
  });
}

// With r = 1 / sqrt(variance + eps), d = src - mean and g the gradient before the activation, N values per statistic:
// diff_beta = sum g, diff_gamma = r sum g d, diff_src = gamma r (g - sum g / N - d r^2 sum(g d) / N).
stig_status stig_normalization_backward(const stig_tensor* src, const stig_tensor* dst, const stig_tensor* diff_dst,
                                        const stig_tensor* gamma, const stig_tensor* mean, const stig_tensor* variance,
                                        int32_t statistics, float eps, float slope, const stig_tensor* diff_src,
                                        const stig_tensor* diff_gamma, const stig_tensor* diff_beta) {
  STIG_GUARDED({
    check_same_layout(diff_dst, "diff_dst", src, "src");
    check_same_layout(diff_src, "diff_src", src, "src");
    check_same_layout(dst, "dst", src, "src");
    check_statistics(mean, variance, statistics_rows(*src, statistics), src->c);
    check_options(eps, slope);
    const float* scale = optional(gamma, "gamma", src->c);
    optional(diff_gamma, "diff_gamma", src->c);
    optional(diff_beta, "diff_beta", src->c);

    const Rows rows(*src);
    std::vector<double> sums(static_cast<size_t>(rows.partials()));      // of g
    std::vector<double> products(static_cast<size_t>(rows.partials()));  // of g d
    rows.each_chunk([&](int64_t i, int64_t b, int64_t k, int64_t begin, int64_t end) {
      const Lanes centre(image(*mean, mean->n == 1 ? 0 : i) + b * rows.block, rows.block, 0);
      const float* x = image(*src, i) + b * rows.length;
      const float* y = image(*dst, i) + b * rows.length;
      const float* dy = image(*diff_dst, i) + b * rows.length;
      const int64_t at = rows.partial(i, b, k);
      const auto g = [=](int64_t e) { return y[e] > 0 ? dy[e] : slope * dy[e]; };
      sum_lanes(begin, end, rows.block, sums.data() + at,
                [=](int64_t e, int64_t) { return static_cast<double>(g(e)); });
      sum_lanes(begin, end, rows.block, products.data() + at,
                [=, &centre](int64_t e, int64_t l) { return static_cast<double>(g(e) * (x[e] - centre.v[l])); });
    });

    const int64_t images = rows.n / mean->n;  // behind each statistic
    const double count = static_cast<double>(images * src->h * src->w);
    std::vector<float> mean_sum(static_cast<size_t>(mean->n * rows.c));      // sum g / N
    std::vector<float> mean_product(static_cast<size_t>(mean->n * rows.c));  // r^2 sum(g d) / N
    parallel_for(rows.c, [&](int64_t j) {
      double all_sum = 0, all_product = 0;
      for (int64_t g = 0; g < mean->n; ++g) {
        double sum = 0, product = 0;
        for (int64_t p = g * images * rows.chunks; p < (g + 1) * images * rows.chunks; ++p) {
          sum += sums[p * rows.c + j];
          product += products[p * rows.c + j];
        }
        const double r = inverse_deviation(image(*variance, g)[j], eps);
        mean_sum[g * rows.c + j] = static_cast<float>(sum / count);
        mean_product[g * rows.c + j] = static_cast<float>(r * r * product / count);
        all_sum += sum;
        all_product += r * product;
      }
      if (wanted(diff_beta)) image(*diff_beta, 0)[j] = static_cast<float>(all_sum);
      if (wanted(diff_gamma)) image(*diff_gamma, 0)[j] = static_cast<float>(all_product);
    });

    rows.each_chunk([&](int64_t i, int64_t b, int64_t, int64_t begin, int64_t end) {
      const int64_t s = mean->n == 1 ? 0 : i;
      const int64_t j0 = b * rows.block;
      float factor[lanes];
      for (int64_t j = 0; j < rows.block; ++j) {
        factor[j] =
            static_cast<float>(inverse_deviation(image(*variance, s)[j0 + j], eps) * (scale ? scale[j0 + j] : 1));
      }
      const Lanes outer(factor, rows.block, 1);
      const Lanes centre(image(*mean, s) + j0, rows.block, 0);
      const Lanes sum(mean_sum.data() + s * rows.c + j0, rows.block, 0);
      const Lanes product(mean_product.data() + s * rows.c + j0, rows.block, 0);
      const float* x = image(*src, i) + b * rows.length;
      const float* y = image(*dst, i) + b * rows.length;
      const float* dy = image(*diff_dst, i) + b * rows.length;
      float* dx = image(*diff_src, i) + b * rows.length;
      each_lane(begin, end, [=, &outer, &centre, &sum, &product](int64_t e, int64_t l) {
        const float g = y[e] > 0 ? dy[e] : slope * dy[e];
        dx[e] = outer.v[l] * (g - sum.v[l] - (x[e] - centre.v[l]) * product.v[l]);
      });
    });
  });
}

stig_status stig_running_statistics(const stig_tensor* mean, const stig_tensor* variance, int64_t count, float momentum,
                                    const stig_tensor* running_mean, const stig_tensor* running_var,
                                    const stig_tensor* dst_mean, const stig_tensor* dst_var) {
  STIG_GUARDED({
    check(mean, "mean");
    check_statistics(mean, variance, mean->n, mean->c);
    require(count > 1, "an unbiased variance needs a count above 1, not " + std::to_string(count));
    require(momentum >= 0 && momentum <= 1, "momentum must be from 0 to 1, but is " + std::to_string(momentum));
    check_extents(running_mean, "running_mean", 1, mean->c, 1, 1);
    check_extents(running_var, "running_var", 1, mean->c, 1, 1);
    check_extents(dst_mean, "dst_mean", 1, mean->c, 1, 1);
    check_extents(dst_var, "dst_var", 1, mean->c, 1, 1);
    const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
    for (int64_t j = 0; j < mean->c; ++j) {
      double m = 0, v = 0;
      for (int64_t g = 0; g < mean->n; ++g) {
        m += image(*mean, g)[j];
        v += image(*variance, g)[j];
      }
      const double rows = static_cast<double>(mean->n);
      const double keep = 1 - static_cast<double>(momentum);
      image(*dst_mean, 0)[j] = static_cast<float>(keep * image(*running_mean, 0)[j] + momentum * (m / rows));
      image(*dst_var, 0)[j] = static_cast<float>(keep * image(*running_var, 0)[j] + momentum * (v / rows * unbiased));
    }
  });
}
