// Patch contrastive loss: sampling of positions, gathering of features, unit length, cross entropy.
//
// Positions. permutation(i) of 0 .. extent - 1 is made from the seed alone, without a table, so that any executor can
// compute any element by itself and all get the same:
//
//   half = the smallest number of bits >= 1 with 4^half >= extent;  mask = 2^half - 1
//   value = i
//   do {
//     left = value >> half;  right = value & mask
//     for (round = 0; round < 12; ++round) {
//       f = philox(counter = {right, round, step, stream}, key = {seed lo, seed hi})[0]
//       (left, right) = (right, left ^ (f & mask))
//     }
//     value = left << half | right
//   } while (value >= extent)
//
// All values are unsigned 32 bit integers. The rounds are a Feistel network: a permutation of 0 .. 4^half - 1 whatever
// f is. Walking its cycle until it is back below extent makes it one of 0 .. extent - 1. philox is Philox4x32-10 of
// Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
#include <dnnl.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "common.h"
#include "reduce.h"

namespace stig {
namespace {

// The first word of the Philox4x32-10 block.
uint32_t philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c0;
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c0;
}

// With six rounds, a chi-square test over the first two positions tells some pairs from others where extent is 64 or
// less. From ten on it finds nothing, down to extent 4.
constexpr uint32_t feistel_rounds = 12;

class Permutation {
 public:
  Permutation(uint32_t extent, uint32_t seed_lo, uint32_t seed_hi, uint32_t step, uint32_t stream)
      : extent_(extent), seed_lo_(seed_lo), seed_hi_(seed_hi), step_(step), stream_(stream) {
    while ((uint64_t{1} << (2 * half_)) < extent) ++half_;
  }

  uint32_t operator()(uint32_t value) const {
    const uint32_t mask = (uint32_t{1} << half_) - 1;
    do {
      uint32_t left = value >> half_;
      uint32_t right = value & mask;
      for (uint32_t round = 0; round < feistel_rounds; ++round) {
        const uint32_t next = left ^ (philox(right, round, step_, stream_, seed_lo_, seed_hi_) & mask);
        left = right;
        right = next;
      }
      value = left << half_ | right;
    } while (value >= extent_);
    return value;
  }

 private:
  uint32_t extent_, seed_lo_, seed_hi_, step_, stream_;
  uint32_t half_ = 1;
};

// One row of values for each image: [n, k], or any extents, in the order of memory.
int64_t row_stride(const stig_tensor& t) { return t.n == 1 ? image_elements(t) : t.batch_stride; }

// The positions, [count], checked against the extent they index.
const int32_t* check_positions(const stig_tensor* positions, int64_t count, int64_t extent) {
  check(positions, "positions");
  require(elements(*positions) == count && contiguous(*positions),
          "positions is " + describe(*positions) + ", expected " + std::to_string(count) + " contiguous values");
  const int32_t* p = image<int32_t>(*positions, 0);
  for (int64_t k = 0; k < count; ++k) {
    require(p[k] >= 0 && p[k] < extent,
            "position " + std::to_string(p[k]) + " is outside 0 .. " + std::to_string(extent - 1));
  }
  return p;
}

// rows [n count, c] of features [n, c, h, w]; returns count.
int64_t check_rows(const stig_tensor* rows, const char* name, const stig_tensor& features) {
  check(rows, name);
  require(rows->n % features.n == 0 && rows->c == features.c && rows->h == 1 && rows->w == 1,
          std::string(name) + " is " + describe(*rows) + ", expected rows of " + std::to_string(features.c) +
              " for each of " + std::to_string(features.n) + " images");
  return rows->n / features.n;
}

// Offset of channel j at a position, within an image of either layout.
int64_t feature_offset(const stig_tensor& t, int64_t j, int64_t position) {
  return ((j / t.block) * t.h * t.w + position) * t.block + j % t.block;
}

// Makes OpenMP regions opened by this thread run on it alone, for as long as it lives.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// dst [m, n] = alpha a [m, k] b', where b' is b [k, n], or the transpose of b [n, k]. Row-major with strides. Blocks of
// rows go to the threads, and each product is computed on one: how the library splits a product depends on the threads.
void multiply(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t a_stride, const float* b,
              int64_t b_stride, bool transpose_b, float* dst, int64_t dst_stride) {
  constexpr int64_t block = 64;
  parallel_for((m + block - 1) / block, [&](int64_t part) {
    const int64_t first = part * block;
    const OneThread alone;
    const dnnl_status_t status =
        dnnl_sgemm('N', transpose_b ? 'T' : 'N', std::min(block, m - first), n, k, alpha, a + first * a_stride,
                   a_stride, b, b_stride, 0.0f, dst + first * dst_stride, dst_stride);
    if (status == dnnl_out_of_memory) throw std::bad_alloc();
    if (status != dnnl_success) {
      throw Error(STIG_LIBRARY_FAILURE, "oneDNN's matrix product failed with status " + std::to_string(status));
    }
  });
}

void check_pairs(const stig_tensor* a, const char* name, int64_t groups) {
  check(a, name);
  require(groups > 0 && a->n % groups == 0, std::string(name) + ": " + std::to_string(a->n) + " rows are not " +
                                                std::to_string(groups) + " equal groups");
}

constexpr float masked_similarity = -10.0f;

}  // namespace
}  // namespace stig

using namespace stig;

stig_status stig_sample_positions(const stig_tensor* random, int32_t stream, int64_t extent, const stig_tensor* dst) {
  STIG_GUARDED({
    check(random, "random");
    require(elements(*random) == 4 && contiguous(*random), "random is " + describe(*random) + ", expected 4 values");
    check(dst, "dst");
    require(contiguous(*dst), "dst must be contiguous");
    const int64_t count = elements(*dst);
    require(extent <= INT32_MAX && count <= extent,
            std::to_string(count) + " positions cannot be drawn out of " + std::to_string(extent));
    const int32_t* r = image<int32_t>(*random, 0);
    const Permutation permutation(static_cast<uint32_t>(extent), static_cast<uint32_t>(r[0]),
                                  static_cast<uint32_t>(r[1]), static_cast<uint32_t>(r[2]),
                                  static_cast<uint32_t>(stream));
    int32_t* positions = image<int32_t>(*dst, 0);
    for (int64_t i = 0; i < count; ++i) {
      positions[i] = static_cast<int32_t>(permutation(static_cast<uint32_t>(i)));
    }
  });
}

stig_status stig_gather_positions_forward(const stig_tensor* src, const stig_tensor* positions,
                                          const stig_tensor* dst) {
  STIG_GUARDED({
    check(src, "src");
    const int64_t count = check_rows(dst, "dst", *src);
    const int32_t* p = check_positions(positions, count, src->h * src->w);
    parallel_for(dst->n, [&](int64_t row) {
      const float* x = image(*src, row / count);
      float* y = image(*dst, row);
      for (int64_t j = 0; j < src->c; ++j) y[j] = x[feature_offset(*src, j, p[row % count])];
    });
  });
}

stig_status stig_gather_positions_backward(const stig_tensor* diff_dst, const stig_tensor* positions,
                                           const stig_tensor* diff_src) {
  STIG_GUARDED({
    check(diff_src, "diff_src");
    const int64_t count = check_rows(diff_dst, "diff_dst", *diff_src);
    const int64_t extent = diff_src->h * diff_src->w;
    const int32_t* p = check_positions(positions, count, extent);
    const int64_t blocks = diff_src->c / diff_src->block;
    parallel_for(diff_src->n * blocks, [&](int64_t k) {
      const int64_t i = k / blocks;
      const int64_t first = k % blocks * diff_src->block;  // channel
      float* dx = image(*diff_src, i);
      std::fill_n(dx + feature_offset(*diff_src, first, 0), extent * diff_src->block, 0.0f);
      for (int64_t row = 0; row < count; ++row) {
        const float* dy = image(*diff_dst, i * count + row);
        for (int64_t j = first; j < first + diff_src->block; ++j) dx[feature_offset(*diff_src, j, p[row])] += dy[j];
      }
    });
  });
}

stig_status stig_l2_normalize_forward(const stig_tensor* src, float eps, const stig_tensor* dst) {
  STIG_GUARDED({
    check_same_layout(dst, "dst", src, "src");
    require(eps > 0, "eps must be positive");
    const int64_t count = image_elements(*src);
    parallel_for(src->n, [&](int64_t i) {
      const float* x = image(*src, i);
      float* y = image(*dst, i);
      const double norm = std::sqrt(ordered_sum(count, [=](int64_t k) { return static_cast<double>(x[k]) * x[k]; }));
      const float divisor = static_cast<float>(norm + eps);
      for (int64_t k = 0; k < count; ++k) y[k] = x[k] / divisor;
    });
  });
}

stig_status stig_l2_normalize_backward(const stig_tensor* src, const stig_tensor* diff_dst, float eps,
                                       const stig_tensor* diff_src) {
  STIG_GUARDED({
    check_same_layout(diff_dst, "diff_dst", src, "src");
    check_same_layout(diff_src, "diff_src", src, "src");
    require(eps > 0, "eps must be positive");
    const int64_t count = image_elements(*src);
    parallel_for(src->n, [&](int64_t i) {
      const float* x = image(*src, i);
      const float* dy = image(*diff_dst, i);
      float* dx = image(*diff_src, i);
      const double norm = std::sqrt(ordered_sum(count, [=](int64_t k) { return static_cast<double>(x[k]) * x[k]; }));
      const double along = ordered_sum(count, [=](int64_t k) { return static_cast<double>(x[k]) * dy[k]; });
      // dx = dy / (r + eps) - x (x.dy) / (r (r + eps)^2), r = |x|; the second term is 0 at x = 0.
      const double inverse = 1 / (norm + eps);
      const double radial = norm > 0 ? along * inverse * inverse / norm : 0;
      for (int64_t k = 0; k < count; ++k) dx[k] = static_cast<float>(inverse * dy[k] - radial * x[k]);
    });
  });
}

stig_status stig_patch_nce_forward(const stig_tensor* query, const stig_tensor* key, int64_t groups, float temperature,
                                   const stig_tensor* loss, const stig_tensor* probability) {
  STIG_GUARDED({
    check_same_layout(key, "key", query, "query");
    check_pairs(query, "query", groups);
    check_extents(loss, "loss", 1, 1, 1, 1);
    require(temperature > 0, "temperature must be positive");
    const int64_t rows = query->n;
    const int64_t p = rows / groups;
    const int64_t d = image_elements(*query);
    std::vector<float> own;  // where the caller does not want the probabilities
    float* mass = nullptr;
    int64_t stride = p;
    if (wanted(probability)) {
      check_extents(probability, "probability", rows, p, 1, 1);
      mass = image(*probability, 0);
      stride = row_stride(*probability);
    } else {
      own.resize(static_cast<size_t>(rows * p));
      mass = own.data();
    }
    for (int64_t g = 0; g < groups; ++g) {
      multiply(p, p, d, 1 / temperature, image(*query, g * p), row_stride(*query), image(*key, g * p), row_stride(*key),
               true, mass + g * p * stride, stride);
    }
    std::vector<double> row_loss(static_cast<size_t>(rows));
    parallel_for(rows, [&](int64_t row) {
      float* z = mass + row * stride;
      const int64_t own_key = row % p;
      const float positive = z[own_key];
      const float masked = masked_similarity / temperature;
      float largest = std::max(positive, masked);
      for (int64_t j = 0; j < p; ++j) largest = std::max(largest, z[j]);
      // Everything but the positive, so that a probability near one leaves an exact remainder.
      double rest = std::exp(masked - largest);
      for (int64_t j = 0; j < p; ++j) {
        z[j] = std::exp(z[j] - largest);
        if (j != own_key) rest += z[j];
      }
      const double sum = rest + z[own_key];
      row_loss[row] = std::log(sum) + largest - positive;
      for (int64_t j = 0; j < p; ++j) z[j] = static_cast<float>((j == own_key ? -rest : z[j]) / sum);
    });
    double sum = 0;
    for (const double value : row_loss) sum += value;
    *image(*loss, 0) = static_cast<float>(sum / static_cast<double>(rows));
  });
}

stig_status stig_patch_nce_backward(const stig_tensor* key, const stig_tensor* probability,
                                    const stig_tensor* diff_loss, int64_t groups, float temperature,
                                    const stig_tensor* diff_query) {
  STIG_GUARDED({
    check_same_layout(diff_query, "diff_query", key, "key");
    check_pairs(key, "key", groups);
    check_extents(diff_loss, "diff_loss", 1, 1, 1, 1);
    require(temperature > 0, "temperature must be positive");
    const int64_t rows = key->n;
    const int64_t p = rows / groups;
    const int64_t d = image_elements(*key);
    check_extents(probability, "probability", rows, p, 1, 1);
    const float slope = static_cast<float>(*image(*diff_loss, 0) / (static_cast<double>(rows) * temperature));
    for (int64_t g = 0; g < groups; ++g) {
      multiply(p, d, p, slope, image(*probability, g * p), row_stride(*probability), image(*key, g * p),
               row_stride(*key), false, image(*diff_query, g * p), row_stride(*diff_query));
    }
  });
}
