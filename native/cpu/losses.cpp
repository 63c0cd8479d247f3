// Scalar losses: mean squared error against a constant, root mean square difference of the lowest frequencies, mean
// structural similarity, and cross entropy.
#include <algorithm>
#include <array>
#include <cmath>

#include "common.h"
#include "reduce.h"

namespace stig {
namespace {

void check_scalar(const stig_tensor* t, const char* name) { check_extents(t, name, 1, 1, 1, 1); }

float& scalar(const stig_tensor& t) { return *image(t, 0); }

// ---- low frequencies ----

// The central columns of the central rows of a spectrum's planes: `rows` rows of `side` values.
struct LowFrequencies {
  LowFrequencies(const stig_tensor& t, int64_t radius) {
    require(radius > 0 && radius <= t.h / 2 && radius <= t.w / 2,
            "a window of radius " + std::to_string(radius) + " does not fit into " + describe(t));
    side = 2 * radius;
    rows = t.n * t.c * side;
    first = (t.h / 2 - radius) * t.w + t.w / 2 - radius;
  }

  float* row(const stig_tensor& t, int64_t index) const {
    const int64_t k = index / side;
    return plane(t, k / t.c, k % t.c) + first + index % side * t.w;
  }

  int64_t side, rows;
  int64_t first;  // element of a plane where the window begins
};

// ---- structural similarity ----

constexpr double c1 = 1e-4;
constexpr double c2 = 9e-4;
constexpr double sigma = 1.5;
constexpr int64_t window_radius = 17;
// The taps beyond hold 1.3e-10 of the window's mass: less than float tells apart.
constexpr int64_t reach = 9;
constexpr int64_t taps = 2 * reach + 1;
constexpr int64_t tile = 256;

std::array<double, taps> make_window() {
  std::array<double, taps> window{};
  double sum = 0;
  for (int64_t t = -window_radius; t <= window_radius; ++t) {
    const double value = std::exp(-static_cast<double>(t * t) / (2 * sigma * sigma));
    sum += value;
    if (std::abs(t) <= reach) window[t + reach] = value;
  }
  for (double& value : window) value /= sum;
  return window;
}
const std::array<double, taps> window = make_window();

// Window sums of K maps at columns x0 .. x0 + tile - 1 of row y, zero padded: down the columns first, then along the
// row. values(row, column) gives the K maps' values. Rows do not depend on each other, so nothing of the size of an
// image is kept. Double, because the variances are small differences of these sums.
template <size_t K, typename Values>
void window_sums(int64_t h, int64_t w, int64_t y, int64_t x0, Values&& values, double (&sums)[K][tile]) {
  double columns[K][tile + 2 * reach] = {};
  const int64_t left = x0 - reach;  // column of columns[.][0]
  const int64_t begin = std::max<int64_t>(0, -left);
  const int64_t end = std::min<int64_t>(tile + 2 * reach, w - left);
  for (int64_t row = std::max<int64_t>(0, y - reach); row <= std::min(h - 1, y + reach); ++row) {
    const double weight = window[row - y + reach];
    for (int64_t x = begin; x < end; ++x) {
      const std::array<double, K> v = values(row, left + x);
      for (size_t k = 0; k < K; ++k) columns[k][x] += weight * v[k];
    }
  }
  for (size_t k = 0; k < K; ++k) {
    for (int64_t x = 0; x < tile; ++x) sums[k][x] = 0;
    for (int64_t t = 0; t < taps; ++t) {
      for (int64_t x = 0; x < tile; ++x) sums[k][x] += window[t] * columns[k][x + t];
    }
  }
}

// Similarity at one pixel, S = A1 A2 / (B1 B2), from the window sums of a, b, a^2, b^2 and a b.
struct Similarity {
  Similarity(double mean_a, double mean_b, double aa, double bb, double ab)
      : ma(mean_a),
        mb(mean_b),
        a1(2 * ma * mb + c1),
        a2(2 * (ab - ma * mb) + c2),
        b1(ma * ma + mb * mb + c1),
        b2(aa - ma * ma + bb - mb * mb + c2),
        value(a1 * a2 / (b1 * b2)) {}

  // Derivatives of S by the window sums of b, b^2 and a b.
  double by_b() const { return 2 * ma * (a2 - a1) / (b1 * b2) - 2 * mb * value * (1 / b1 - 1 / b2); }
  double by_bb() const { return -value / b2; }
  double by_ab() const { return 2 * a1 / (b1 * b2); }

  double ma, mb, a1, a2, b1, b2, value;
};

// body(column, similarity) along row y of plane j of image i.
template <typename Body>
void along_row(const stig_tensor& a, const stig_tensor& b, int64_t i, int64_t j, int64_t y, Body&& body) {
  const float* pa = plane(a, i, j);
  const float* pb = plane(b, i, j);
  const int64_t w = a.w;
  for (int64_t x0 = 0; x0 < w; x0 += tile) {
    double sums[5][tile];
    window_sums<5>(
        a.h, w, y, x0,
        [=](int64_t row, int64_t x) {
          const double va = pa[row * w + x];
          const double vb = pb[row * w + x];
          return std::array<double, 5>{va, vb, va * va, vb * vb, va * vb};
        },
        sums);
    for (int64_t x = 0; x < std::min(tile, w - x0); ++x) {
      body(x0 + x, Similarity(sums[0][x], sums[1][x], sums[2][x], sums[3][x], sums[4][x]));
    }
  }
}

// ---- cross entropy ----

// Rows of scores, each with the number of its true class.
class LabelledRows {
 public:
  LabelledRows(const stig_tensor* logits, const stig_tensor* labels) : logits_(logits), labels_(labels) {
    check_planar(logits, "logits");
    check_extents(labels, "labels", 1, logits->n, 1, 1);
    classes = image_elements(*logits);
    for (int64_t i = 0; i < logits->n; ++i) {
      require(label(i) >= 0 && label(i) < classes, "label " + std::to_string(i) + " is " + std::to_string(label(i)) +
                                                       ", but there are " + std::to_string(classes) + " classes");
    }
  }

  const float* row(int64_t i) const { return image(*logits_, i); }
  int64_t label(int64_t i) const { return image<int32_t>(*labels_, 0)[i]; }

  // ln sum_j exp(z_j) of a row, from its largest score on, so that nothing overflows
  double log_sum(int64_t i) const {
    const double largest = *std::max_element(row(i), row(i) + classes);
    double sum = 0;
    for (int64_t j = 0; j < classes; ++j) sum += std::exp(row(i)[j] - largest);
    return largest + std::log(sum);
  }

  int64_t classes;

 private:
  const stig_tensor* logits_;
  const stig_tensor* labels_;
};

void check_pair(const stig_tensor* a, const stig_tensor* b) {
  check_planar(a, "a");
  check_planar_like(b, "b", a, "a");
}

}  // namespace
}  // namespace stig

using namespace stig;

stig_status stig_mse_forward(const stig_tensor* src, float target, const stig_tensor* loss) {
  STIG_GUARDED({
    check(src, "src");
    check_scalar(loss, "loss");
    double sum = 0;
    for (int64_t i = 0; i < src->n; ++i) {
      const float* x = image(*src, i);
      sum += ordered_sum(image_elements(*src), [=](int64_t k) {
        const double difference = static_cast<double>(x[k]) - target;
        return difference * difference;
      });
    }
    scalar(*loss) = static_cast<float>(sum / static_cast<double>(elements(*src)));
  });
}

stig_status stig_mse_backward(const stig_tensor* src, float target, const stig_tensor* diff_loss,
                              const stig_tensor* diff_src) {
  STIG_GUARDED({
    check_same_layout(diff_src, "diff_src", src, "src");
    check_scalar(diff_loss, "diff_loss");
    const float slope = static_cast<float>(2.0 * scalar(*diff_loss) / static_cast<double>(elements(*src)));
    for (int64_t i = 0; i < src->n; ++i) {
      const float* x = image(*src, i);
      float* dx = image(*diff_src, i);
      parallel_chunks(image_elements(*src), [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) dx[k] = slope * (x[k] - target);
      });
    }
  });
}

stig_status stig_low_frequency_forward(const stig_tensor* a, const stig_tensor* b, int64_t radius,
                                       const stig_tensor* loss) {
  STIG_GUARDED({
    check_pair(a, b);
    check_scalar(loss, "loss");
    const LowFrequencies low(*a, radius);
    double sum = 0;
    for (int64_t row = 0; row < low.rows; ++row) {
      const float* va = low.row(*a, row);
      const float* vb = low.row(*b, row);
      sum += ordered_sum(low.side, [=](int64_t x) {
        const double difference = static_cast<double>(va[x]) - vb[x];
        return difference * difference;
      });
    }
    scalar(*loss) = static_cast<float>(std::sqrt(sum / static_cast<double>(low.rows * low.side)));
  });
}

stig_status stig_low_frequency_backward(const stig_tensor* a, const stig_tensor* b, const stig_tensor* loss,
                                        const stig_tensor* diff_loss, int64_t radius, const stig_tensor* diff_a) {
  STIG_GUARDED({
    check_pair(a, b);
    check_planar_like(diff_a, "diff_a", a, "a");
    check_scalar(loss, "loss");
    check_scalar(diff_loss, "diff_loss");
    const LowFrequencies low(*a, radius);
    const double value = scalar(*loss);
    const double slope = value == 0 ? 0 : scalar(*diff_loss) / (static_cast<double>(low.rows * low.side) * value);
    parallel_for(a->n * a->c, [&](int64_t k) {
      float* d = plane(*diff_a, k / a->c, k % a->c);
      std::fill(d, d + a->h * a->w, 0.0f);
      for (int64_t row = k * low.side; row < (k + 1) * low.side; ++row) {
        const float* va = low.row(*a, row);
        const float* vb = low.row(*b, row);
        float* da = low.row(*diff_a, row);
        for (int64_t x = 0; x < low.side; ++x) da[x] = static_cast<float>(slope * (static_cast<double>(va[x]) - vb[x]));
      }
    });
  });
}

// The forward pass keeps a sum for each row, the backward pass three maps of the images' size: all doubles.
int64_t stig_ssim_work_bytes(int64_t n, int64_t c, int64_t h, int64_t w) {
  return 3 * n * c * h * w * static_cast<int64_t>(sizeof(double));
}

stig_status stig_ssim_forward(const stig_tensor* a, const stig_tensor* b, const stig_tensor* value, void* work) {
  STIG_GUARDED({
    check_pair(a, b);
    check_scalar(value, "value");
    require(work != nullptr, "work is null");
    double* row_sums = static_cast<double*>(work);
    const int64_t rows = a->n * a->c * a->h;
    parallel_for(rows, [&](int64_t row) {
      const int64_t k = row / a->h;
      double sum = 0;
      along_row(*a, *b, k / a->c, k % a->c, row % a->h, [&](int64_t, const Similarity& s) { sum += s.value; });
      row_sums[row] = sum;
    });
    double sum = 0;
    for (int64_t row = 0; row < rows; ++row) sum += row_sums[row];
    scalar(*value) = static_cast<float>(sum / static_cast<double>(elements(*a)));
  });
}

stig_status stig_ssim_backward(const stig_tensor* a, const stig_tensor* b, const stig_tensor* diff_value,
                               const stig_tensor* diff_b, void* work) {
  STIG_GUARDED({
    check_pair(a, b);
    check_planar_like(diff_b, "diff_b", b, "b");
    check_scalar(diff_value, "diff_value");
    require(work != nullptr, "work is null");
    const int64_t h = a->h;
    const int64_t w = a->w;
    const int64_t rows = a->n * a->c * h;
    // The window with zero padding is its own adjoint: diff_b = window(dS/db) + 2 b window(dS/db^2) + a window(dS/dab).
    double* by_b = static_cast<double*>(work);
    double* by_bb = by_b + rows * w;
    double* by_ab = by_bb + rows * w;
    parallel_for(rows, [&](int64_t row) {
      const int64_t k = row / h;
      along_row(*a, *b, k / a->c, k % a->c, row % h, [&](int64_t x, const Similarity& s) {
        by_b[row * w + x] = s.by_b();
        by_bb[row * w + x] = s.by_bb();
        by_ab[row * w + x] = s.by_ab();
      });
    });
    const double slope = scalar(*diff_value) / static_cast<double>(elements(*a));
    parallel_for(rows, [&](int64_t row) {
      const int64_t k = row / h;
      const int64_t y = row % h;
      const int64_t first = k * h * w;
      const float* va = plane(*a, k / a->c, k % a->c) + y * w;
      const float* vb = plane(*b, k / a->c, k % a->c) + y * w;
      float* db = plane(*diff_b, k / a->c, k % a->c) + y * w;
      for (int64_t x0 = 0; x0 < w; x0 += tile) {
        double sums[3][tile];
        window_sums<3>(
            h, w, y, x0,
            [=](int64_t r, int64_t x) {
              const int64_t p = first + r * w + x;
              return std::array<double, 3>{by_b[p], by_bb[p], by_ab[p]};
            },
            sums);
        for (int64_t x = 0; x < std::min(tile, w - x0); ++x) {
          db[x0 + x] = static_cast<float>(slope * (sums[0][x] + 2 * vb[x0 + x] * sums[1][x] + va[x0 + x] * sums[2][x]));
        }
      }
    });
  });
}

stig_status stig_cross_entropy_forward(const stig_tensor* logits, const stig_tensor* labels, const stig_tensor* loss) {
  STIG_GUARDED({
    const LabelledRows rows(logits, labels);
    check_scalar(loss, "loss");
    double sum = 0;
    for (int64_t i = 0; i < logits->n; ++i) sum += rows.log_sum(i) - rows.row(i)[rows.label(i)];
    scalar(*loss) = static_cast<float>(sum / static_cast<double>(logits->n));
  });
}

stig_status stig_cross_entropy_backward(const stig_tensor* logits, const stig_tensor* labels,
                                        const stig_tensor* diff_loss, const stig_tensor* diff_logits) {
  STIG_GUARDED({
    const LabelledRows rows(logits, labels);
    check_planar_like(diff_logits, "diff_logits", logits, "logits");
    check_scalar(diff_loss, "diff_loss");
    const double share = scalar(*diff_loss) / static_cast<double>(logits->n);
    for (int64_t i = 0; i < logits->n; ++i) {
      const double log_sum = rows.log_sum(i);
      float* diff = image(*diff_logits, i);
      for (int64_t j = 0; j < rows.classes; ++j) {
        const double probability = std::exp(rows.row(i)[j] - log_sum);
        diff[j] = static_cast<float>(share * (probability - (j == rows.label(i) ? 1 : 0)));
      }
    }
  });
}
