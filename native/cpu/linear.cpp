// Fully connected layer. Products are split over rows of the result in chunks of fixed size, each done by one thread,
// so that the order of every sum is the same for any number of threads.
#include <algorithm>
#include <dnnl.hpp>

#include "common.h"
#include "reduce.h"

namespace stig {
namespace {

constexpr int64_t chunk = 32;  // rows of a result

// A row-major matrix: row i of a tensor is its image i, flattened.
struct Matrix {
  explicit Matrix(const stig_tensor& t)
      : data(image(t, 0)), rows(t.n), columns(image_elements(t)), stride(t.n == 1 ? columns : t.batch_stride) {}
  float* data;
  int64_t rows, columns, stride;
};

Matrix matrix(const stig_tensor* t, const char* name, int64_t rows, int64_t columns) {
  check_planar(t, name);
  require(t->n == rows && image_elements(*t) == columns, std::string(name) + " is " + describe(*t) + ", expected " +
                                                             std::to_string(rows) + " rows of " +
                                                             std::to_string(columns));
  return Matrix(*t);
}

// Keeps oneDNN to the calling thread.
class SingleThread {
 public:
  SingleThread() : threads_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~SingleThread() { omp_set_num_threads(threads_); }
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;

 private:
  int threads_;
};

// c = beta c + op(a) op(b); op transposes where asked
void multiply(const Matrix& a, bool transpose_a, const Matrix& b, bool transpose_b, float beta, const Matrix& c) {
  const int64_t depth = transpose_a ? a.rows : a.columns;
  parallel_for((c.rows + chunk - 1) / chunk, [&](int64_t k) {
    const SingleThread single;
    const int64_t row = k * chunk;
    const float* part = a.data + (transpose_a ? row : row * a.stride);
    dnnl::error::wrap_c_api(
        dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', std::min(chunk, c.rows - row), c.columns, depth, 1,
                   part, a.stride, b.data, b.stride, beta, c.data + row * c.stride, c.stride),
        "matrix product failed");
  });
}

}  // namespace
}  // namespace stig

using namespace stig;

stig_status stig_linear_forward(const stig_tensor* src, const stig_tensor* weights, const stig_tensor* bias,
                                const stig_tensor* dst) {
  STIG_GUARDED({
    check_planar(src, "src");
    check_planar(weights, "weights");
    const Matrix x = matrix(src, "src", src->n, image_elements(*src));
    const Matrix w = matrix(weights, "weights", weights->n, x.columns);
    const Matrix y = matrix(dst, "dst", x.rows, w.rows);
    if (w.rows == 1) {
      // A row at a time and in a fixed order: sgemm's order of summation depends on the number of rows, and with it an
      // image's result on the images beside it.
      const float constant = wanted(bias) ? *matrix(bias, "bias", 1, 1).data : 0;
      for (int64_t i = 0; i < y.rows; ++i) {
        const float* row = x.data + i * x.stride;
        y.data[i * y.stride] = static_cast<float>(
            constant + ordered_sum(x.columns, [&](int64_t k) { return static_cast<double>(row[k]) * w.data[k]; }));
      }
      return;
    }
    if (wanted(bias)) {
      const Matrix b = matrix(bias, "bias", 1, w.rows);
      for (int64_t i = 0; i < y.rows; ++i) std::copy(b.data, b.data + b.columns, y.data + i * y.stride);
    }
    multiply(x, false, w, true, wanted(bias) ? 1 : 0, y);
  });
}

stig_status stig_linear_backward_data(const stig_tensor* diff_dst, const stig_tensor* weights,
                                      const stig_tensor* diff_src) {
  STIG_GUARDED({
    check_planar(diff_dst, "diff_dst");
    check_planar(weights, "weights");
    const Matrix dy = matrix(diff_dst, "diff_dst", diff_dst->n, image_elements(*diff_dst));
    const Matrix w = matrix(weights, "weights", dy.columns, image_elements(*weights));
    multiply(dy, false, w, false, 0, matrix(diff_src, "diff_src", dy.rows, w.columns));
  });
}

stig_status stig_linear_backward_weights(const stig_tensor* src, const stig_tensor* diff_dst,
                                         const stig_tensor* diff_weights, const stig_tensor* diff_bias) {
  STIG_GUARDED({
    check_planar(src, "src");
    check_planar(diff_dst, "diff_dst");
    const Matrix x = matrix(src, "src", src->n, image_elements(*src));
    const Matrix dy = matrix(diff_dst, "diff_dst", x.rows, image_elements(*diff_dst));
    multiply(dy, true, x, false, 0, matrix(diff_weights, "diff_weights", dy.columns, x.columns));
    if (wanted(diff_bias)) {
      const Matrix db = matrix(diff_bias, "diff_bias", 1, dy.columns);
      std::fill(db.data, db.data + db.columns, 0.0f);
      for (int64_t i = 0; i < dy.rows; ++i) {
        for (int64_t j = 0; j < dy.columns; ++j) db.data[j] += dy.data[i * dy.stride + j];
      }
    }
  });
}
