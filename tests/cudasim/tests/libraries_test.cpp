// The simulated cuFFT, cuBLAS and cuDNN against plain loops in double precision, and the misuse that each must refuse.
#include <complex>

#include "harness.h"

using namespace harness;
using Pointer = uint64_t;
using Handle = void*;

namespace {

void* cuda = nullptr;
void* fft = nullptr;
void* blas = nullptr;
void* dnn = nullptr;

// Calls an entry point by name; the arguments' types are the signature.
template <typename... A>
int call(void* library, const char* name, A... arguments) {
  return reinterpret_cast<int (*)(A...)>(symbol(library, name))(arguments...);
}

std::string last_fault() {
  char text[2048];
  reinterpret_cast<size_t (*)(char*, size_t)>(symbol(cuda, "cudasim_last_fault"))(text, sizeof text);
  return text;
}

void start() {
  reinterpret_cast<void (*)()>(symbol(cuda, "cudasim_reset"))();
  Handle context = nullptr;
  CHECK_EQUAL(call(cuda, "cuInit", 0u), 0);
  CHECK_EQUAL(call(cuda, "cuDevicePrimaryCtxRetain", &context, 0), 0);
  CHECK_EQUAL(call(cuda, "cuCtxSetCurrent", context), 0);
}

void* device(size_t bytes) {
  Pointer p = 0;
  CHECK_EQUAL(call(cuda, "cuMemAlloc_v2", &p, bytes), 0);
  return reinterpret_cast<void*>(p);
}
template <typename T>
void* upload(const std::vector<T>& v) {
  void* p = device(v.size() * sizeof(T));
  CHECK_EQUAL(call(cuda, "cuMemcpyHtoD_v2", reinterpret_cast<Pointer>(p), static_cast<const void*>(v.data()),
                   v.size() * sizeof(T)),
              0);
  return p;
}
template <typename T>
std::vector<T> download(void* p, size_t count) {
  std::vector<T> v(count);
  CHECK_EQUAL(
      call(cuda, "cuMemcpyDtoH_v2", static_cast<void*>(v.data()), reinterpret_cast<Pointer>(p), count * sizeof(T)), 0);
  return v;
}
std::vector<float> noise(size_t n) {
  std::vector<float> v(n);
  for (float& x : v) x = uniform();
  return v;
}

using Complex = std::complex<float>;

// ---- cuFFT ----

// Rows of 5 x 6 images, two to a batch, transformed there and back; the oracle is the definition in double precision.
void test_fft() {
  start();
  const int h = 5, w = 6, batch = 2, half = w / 2 + 1;
  std::vector<float> image = noise(static_cast<size_t>(h * w * batch));
  int plan = 0;
  int n[] = {h, w};
  size_t work = 0;
  CHECK_EQUAL(call(fft, "cufftCreate", &plan), 0);
  CHECK_EQUAL(call(fft, "cufftSetAutoAllocation", plan, 0), 0);
  int* none = nullptr;
  CHECK_EQUAL(call(fft, "cufftMakePlanMany", plan, 2, n, none, 1, 0, none, 1, 0, 0x2a, batch, &work), 0);
  CHECK(work > 0);
  void* in = upload(image);
  void* out = device(static_cast<size_t>(h * half * batch) * 8);
  CHECK_EQUAL(call(fft, "cufftExecR2C", plan, in, out), 13);  // no work area yet
  size_t asked = 0;
  CHECK_EQUAL(call(fft, "cufftGetSize", plan, &asked), 0);
  CHECK_EQUAL(asked, work);
  CHECK_EQUAL(call(fft, "cufftSetWorkArea", plan, device(work)), 0);
  Handle stream = nullptr;
  CHECK_EQUAL(call(cuda, "cuStreamCreate", &stream, 1u), 0);
  CHECK_EQUAL(call(fft, "cufftSetStream", plan, stream), 0);
  CHECK_EQUAL(call(fft, "cufftExecR2C", plan, in, out), 0);
  std::vector<Complex> spectrum = download<Complex>(out, static_cast<size_t>(h * half * batch));
  double worst = 0;
  for (int b = 0; b < batch; ++b) {
    for (int u = 0; u < h; ++u) {
      for (int v = 0; v < half; ++v) {
        std::complex<double> sum = 0;
        for (int y = 0; y < h; ++y) {
          for (int x = 0; x < w; ++x) {
            double angle = -6.283185307179586 * (double(u * y) / h + double(v * x) / w);
            sum += double(image[static_cast<size_t>((b * h + y) * w + x)]) * std::polar(1.0, angle);
          }
        }
        worst = std::max(worst,
                         std::abs(sum - std::complex<double>(spectrum[static_cast<size_t>((b * h + u) * half + v)])));
      }
    }
  }
  CHECK(worst < 1e-5);  // 30 terms of size one in float
  int back = 0;
  CHECK_EQUAL(call(fft, "cufftPlanMany", &back, 2, n, none, 1, 0, none, 1, 0, 0x2c, batch), 0);
  void* again = device(image.size() * 4);
  CHECK_EQUAL(call(fft, "cufftExecC2R", back, out, again), 0);
  std::vector<float> twice = download<float>(again, image.size());
  worst = 0;
  for (size_t k = 0; k < image.size(); ++k) worst = std::max<double>(worst, std::fabs(twice[k] / (h * w) - image[k]));
  CHECK(worst < 1e-6);
  CHECK_EQUAL(call(fft, "cufftExecC2R", back, out, again), 0);  // its input is gone
  CHECK_EQUAL(call(cuda, "cuCtxSynchronize"), 719);
  CHECK_CONTAINS(last_fault(), std::string("cuFFT input"));

  // Strided complex transform: channel 1 of interleaved data, and its inverse.
  start();
  const int length = 7, channels = 3;
  std::vector<float> values = noise(2 * length * channels);
  int one[] = {length};
  int embed[] = {length};
  CHECK_EQUAL(call(fft, "cufftPlanMany", &plan, 1, one, embed, channels, 1, embed, 1, length, 0x29, channels), 0);
  in = upload(values);
  out = device(values.size() * 4);
  CHECK_EQUAL(call(fft, "cufftExecC2C", plan, in, out, -1), 0);
  std::vector<Complex> got = download<Complex>(out, length * channels);
  worst = 0;
  for (int c = 0; c < channels; ++c) {
    for (int u = 0; u < length; ++u) {
      std::complex<double> sum = 0;
      for (int x = 0; x < length; ++x) {
        size_t at = static_cast<size_t>(2 * (x * channels + c));
        sum += std::complex<double>(values[at], values[at + 1]) * std::polar(1.0, -6.283185307179586 * u * x / length);
      }
      worst = std::max(worst, std::abs(sum - std::complex<double>(got[static_cast<size_t>(c * length + u)])));
    }
  }
  CHECK(worst < 1e-5);
  // Misuse.
  CHECK_EQUAL(call(fft, "cufftExecC2C", plan, in, out, 0), 4);
  CHECK_EQUAL(call(fft, "cufftExecR2C", plan, in, out), 3);
  CHECK_EQUAL(call(fft, "cufftExecC2C", plan, static_cast<void*>(static_cast<char*>(in) + 4), out, 1), 9);
  CHECK_EQUAL(call(fft, "cufftSetAutoAllocation", plan, 0), 1);
  CHECK_EQUAL(call(fft, "cufftDestroy", plan), 0);
  CHECK_EQUAL(call(fft, "cufftExecC2C", plan, in, out, 1), 1);
  CHECK_EQUAL(call(fft, "cufftPlanMany", &plan, 1, one, none, 1, 0, none, 1, 0, 0x69, 1), 16);
  // A plan too long for its buffer faults on the device.
  int large[] = {length * channels + 1};
  CHECK_EQUAL(call(fft, "cufftPlanMany", &plan, 1, large, none, 1, 0, none, 1, 0, 0x29, 1), 0);
  CHECK_EQUAL(call(fft, "cufftExecC2C", plan, in, out, 1), 0);
  CHECK_EQUAL(call(cuda, "cuCtxSynchronize"), 700);
}

// ---- cuBLAS ----

void test_blas() {
  start();
  Handle h = nullptr;
  CHECK_EQUAL(call(blas, "cublasCreate_v2", &h), 0);
  const int m = 5, n = 4, k = 3;
  for (int transposed = 0; transposed < 4; ++transposed) {
    int op_a = transposed & 1, op_b = transposed >> 1;
    int lda = (op_a == 0 ? m : k) + 1, ldb = (op_b == 0 ? k : n) + 2, ldc = m + 3;
    std::vector<float> a = noise(static_cast<size_t>(lda * (op_a == 0 ? k : m))),
                       b = noise(static_cast<size_t>(ldb * (op_b == 0 ? n : k)));
    std::vector<float> c = noise(static_cast<size_t>(ldc * n));
    float alpha = 1.5f, beta = -0.5f;
    void* dc = upload(c);
    CHECK_EQUAL(call(blas, "cublasSgemm_v2", h, op_a, op_b, m, n, k, static_cast<const float*>(&alpha),
                     static_cast<const void*>(upload(a)), lda, static_cast<const void*>(upload(b)), ldb,
                     static_cast<const float*>(&beta), dc, ldc),
                0);
    std::vector<float> got = download<float>(dc, c.size());
    double worst = 0;
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < ldc; ++i) {
        double want = c[static_cast<size_t>(j * ldc + i)];
        if (i < m) {
          double sum = 0;
          for (int l = 0; l < k; ++l) {
            sum += double(a[static_cast<size_t>(op_a == 0 ? l * lda + i : i * lda + l)]) *
                   b[static_cast<size_t>(op_b == 0 ? j * ldb + l : l * ldb + j)];
          }
          want = alpha * sum + beta * want;
        }
        worst = std::max(worst, std::fabs(want - got[static_cast<size_t>(j * ldc + i)]));
      }
    }
    CHECK(worst < 1e-6);
  }
  // bf16 in batches: products of bf16 values summed in float32, written as bf16.
  const int batch = 3, size = 4;
  std::vector<uint16_t> a, b;
  for (int i = 0; i < batch * size * size; ++i)
    a.push_back(bfloat_bits(uniform())), b.push_back(bfloat_bits(uniform()));
  float alpha = 1, beta = 0;
  void* da = upload(a);
  void* db = upload(b);
  void* dc = device(a.size() * 2);
  long long stride = size * size;
  auto batched = [&](int compute, int type) {
    return call(blas, "cublasGemmStridedBatchedEx", h, 0, 0, size, size, size, static_cast<const void*>(&alpha),
                static_cast<const void*>(da), 14, size, stride, static_cast<const void*>(db), 14, size, stride,
                static_cast<const void*>(&beta), dc, type, size, stride, batch, compute, -1);
  };
  CHECK_EQUAL(batched(68, 14), 0);
  std::vector<uint16_t> got = download<uint16_t>(dc, a.size());
  double worst = 0;
  for (int g = 0; g < batch; ++g) {
    for (int j = 0; j < size; ++j) {
      for (int i = 0; i < size; ++i) {
        double sum = 0;
        for (int l = 0; l < size; ++l)
          sum += double(from_bfloat(a[static_cast<size_t>(g * 16 + l * size + i)])) *
                 from_bfloat(b[static_cast<size_t>(g * 16 + j * size + l)]);
        worst = std::max(worst, std::fabs(sum - from_bfloat(got[static_cast<size_t>(g * 16 + j * size + i)])));
      }
    }
  }
  CHECK(worst < 4.0 / 256);  // half a unit in the last place of bf16 at the size of four products
  CHECK_EQUAL(batched(64, 14), 15);
  CHECK_EQUAL(batched(68, 2), 15);
  CHECK_EQUAL(call(blas, "cublasSetWorkspace_v2", h, static_cast<void*>(static_cast<char*>(dc) + 16), size_t(16)), 7);
  CHECK_EQUAL(call(blas, "cublasSgemm"), 15);
  CHECK_EQUAL(call(blas, "cublasDestroy_v2", h), 0);
  CHECK_EQUAL(batched(68, 14), 1);
}

// ---- cuDNN ----

struct Conv {
  int n, c, h, w, k, r, s, pad, stride, groups;
  int oh() const { return (h + 2 * pad - r) / stride + 1; }
  int ow() const { return (w + 2 * pad - s) / stride + 1; }
};

struct Descriptors {
  Handle handle = nullptr, x = nullptr, w = nullptr, y = nullptr, c = nullptr, b = nullptr, a = nullptr;
  // format: 0 NCHW, 1 NHWC; type: 0 float, 9 bf16
  Descriptors(const Conv& p, int format, int type, int math = 3) {
    CHECK_EQUAL(call(dnn, "cudnnCreate", &handle), 0);
    CHECK_EQUAL(call(dnn, "cudnnCreateTensorDescriptor", &x), 0);
    CHECK_EQUAL(call(dnn, "cudnnCreateTensorDescriptor", &y), 0);
    CHECK_EQUAL(call(dnn, "cudnnCreateTensorDescriptor", &b), 0);
    CHECK_EQUAL(call(dnn, "cudnnCreateFilterDescriptor", &w), 0);
    CHECK_EQUAL(call(dnn, "cudnnCreateConvolutionDescriptor", &c), 0);
    CHECK_EQUAL(call(dnn, "cudnnCreateActivationDescriptor", &a), 0);
    CHECK_EQUAL(call(dnn, "cudnnSetTensor4dDescriptor", x, format, type, p.n, p.c, p.h, p.w), 0);
    CHECK_EQUAL(call(dnn, "cudnnSetTensor4dDescriptor", y, format, type, p.n, p.k, p.oh(), p.ow()), 0);
    CHECK_EQUAL(call(dnn, "cudnnSetTensor4dDescriptor", b, format, type, 1, p.k, 1, 1), 0);
    CHECK_EQUAL(call(dnn, "cudnnSetFilter4dDescriptor", w, type, format, p.k, p.c / p.groups, p.r, p.s), 0);
    CHECK_EQUAL(call(dnn, "cudnnSetConvolution2dDescriptor", c, p.pad, p.pad, p.stride, p.stride, 1, 1, 1, 0), 0);
    CHECK_EQUAL(call(dnn, "cudnnSetConvolutionGroupCount", c, p.groups), 0);
    CHECK_EQUAL(call(dnn, "cudnnSetConvolutionMathType", c, math), 0);
    CHECK_EQUAL(call(dnn, "cudnnSetActivationDescriptor", a, 1, 0, 0.0), 0);
  }
};

size_t at(int format, int n, int c, int h, int w, int C, int H, int W) {
  return static_cast<size_t>(format == 0 ? ((n * C + c) * H + h) * W + w : ((n * H + h) * W + w) * C + c);
}

// Visits every product of the convolution: body(x index, w index, y index).
template <typename Body>
void products(const Conv& p, int format, Body&& body) {
  int cg = p.c / p.groups, kg = p.k / p.groups;
  for (int n = 0; n < p.n; ++n)
    for (int k = 0; k < p.k; ++k)
      for (int y = 0; y < p.oh(); ++y)
        for (int x = 0; x < p.ow(); ++x)
          for (int c = 0; c < cg; ++c)
            for (int r = 0; r < p.r; ++r)
              for (int s = 0; s < p.s; ++s) {
                int iy = y * p.stride - p.pad + r, ix = x * p.stride - p.pad + s;
                if (iy < 0 || ix < 0 || iy >= p.h || ix >= p.w) continue;
                body(at(format, n, k / kg * cg + c, iy, ix, p.c, p.h, p.w), at(format, k, c, r, s, cg, p.r, p.s),
                     at(format, n, k, y, x, p.k, p.oh(), p.ow()));
              }
}

double worst_of(const std::vector<float>& got, const std::vector<double>& want) {
  double worst = 0;
  for (size_t k = 0; k < want.size(); ++k) worst = std::max(worst, std::fabs(got[k] - want[k]));
  return worst;
}

void test_convolution(const Conv& p, int format) {
  start();
  Descriptors d(p, format, 0);
  std::vector<float> x = noise(static_cast<size_t>(p.n * p.c * p.h * p.w)),
                     w = noise(static_cast<size_t>(p.k * (p.c / p.groups) * p.r * p.s));
  std::vector<float> dy = noise(static_cast<size_t>(p.n * p.k * p.oh() * p.ow())),
                     bias = noise(static_cast<size_t>(p.k));
  void* dev_x = upload(x);
  void* dev_w = upload(w);
  void* dev_dy = upload(dy);
  void* dev_y = device(dy.size() * 4);
  void* dev_b = upload(bias);
  size_t bytes = 0;
  CHECK_EQUAL(call(dnn, "cudnnGetConvolutionForwardWorkspaceSize", d.handle, d.x, d.w, d.c, d.y, 1, &bytes), 0);
  void* ws = device(bytes);
  float one = 1, zero = 0;
  const void* alpha = &one;
  const void* beta = &zero;
  auto constant = [](void* q) { return static_cast<const void*>(q); };
  CHECK_EQUAL(call(dnn, "cudnnConvolutionForward", d.handle, alpha, d.x, constant(dev_x), d.w, constant(dev_w), d.c, 1,
                   ws, bytes, beta, d.y, dev_y),
              0);
  std::vector<double> y(dy.size()), dx(x.size()), dw(w.size()), db(bias.size());
  products(p, format, [&](size_t i, size_t j, size_t o) {
    y[o] += double(x[i]) * w[j];
    dx[i] += double(w[j]) * dy[o];
    dw[j] += double(x[i]) * dy[o];
  });
  // 1e-5: sums of a few hundred products of size one in float
  CHECK(worst_of(download<float>(dev_y, y.size()), y) < 1e-5);
  CHECK_EQUAL(
      call(dnn, "cudnnConvolutionBiasActivationForward", d.handle, alpha, d.x, constant(dev_x), d.w, constant(dev_w),
           d.c, 1, ws, bytes, beta, d.y, constant(dev_y), d.b, constant(dev_b), d.a, d.y, dev_y),
      0);
  for (int n = 0; n < p.n; ++n)
    for (int k = 0; k < p.k; ++k)
      for (int i = 0; i < p.oh(); ++i)
        for (int j = 0; j < p.ow(); ++j) {
          size_t o = at(format, n, k, i, j, p.k, p.oh(), p.ow());
          db[static_cast<size_t>(k)] += dy[o];
          y[o] = std::max(0.0, y[o] + bias[static_cast<size_t>(k)]);
        }
  CHECK(worst_of(download<float>(dev_y, y.size()), y) < 1e-5);
  size_t back = 0;
  CHECK_EQUAL(call(dnn, "cudnnGetConvolutionBackwardDataWorkspaceSize", d.handle, d.w, d.y, d.c, d.x, 1, &back), 0);
  void* dev_dx = device(x.size() * 4);
  CHECK_EQUAL(call(dnn, "cudnnConvolutionBackwardData", d.handle, alpha, d.w, constant(dev_w), d.y, constant(dev_dy),
                   d.c, 1, device(back), back, beta, d.x, dev_dx),
              0);
  CHECK(worst_of(download<float>(dev_dx, dx.size()), dx) < 1e-5);
  CHECK_EQUAL(call(dnn, "cudnnGetConvolutionBackwardFilterWorkspaceSize", d.handle, d.x, d.y, d.c, d.w, 1, &back), 0);
  void* dev_dw = device(w.size() * 4);
  CHECK_EQUAL(call(dnn, "cudnnConvolutionBackwardFilter", d.handle, alpha, d.x, constant(dev_x), d.y, constant(dev_dy),
                   d.c, 1, device(back), back, beta, d.w, dev_dw),
              0);
  CHECK(worst_of(download<float>(dev_dw, dw.size()), dw) < 5e-5);
  void* dev_db = device(bias.size() * 4);
  CHECK_EQUAL(call(dnn, "cudnnConvolutionBackwardBias", d.handle, alpha, d.y, constant(dev_dy), beta, d.b, dev_db), 0);
  CHECK(worst_of(download<float>(dev_db, db.size()), db) < 1e-5);
}

void test_convolution_rules() {
  start();
  Conv p{2, 8, 6, 5, 8, 3, 3, 1, 1, 1};
  Descriptors d(p, 1, 9);
  std::vector<uint16_t> x, w;
  for (int i = 0; i < p.n * p.c * p.h * p.w; ++i) x.push_back(bfloat_bits(uniform()));
  for (int i = 0; i < p.k * p.c * p.r * p.s; ++i) w.push_back(bfloat_bits(uniform()));
  size_t outputs = static_cast<size_t>(p.n * p.k * p.oh() * p.ow());
  void* dev_x = upload(x);
  void* dev_w = upload(w);
  void* dev_y = device(outputs * 2);
  struct Perf {
    int algo, status;
    float time;
    size_t memory;
    int determinism, math, reserved[3];
  } perf[8];
  int returned = 0;
  CHECK_EQUAL(call(dnn, "cudnnGetConvolutionForwardAlgorithm_v7", d.handle, d.x, d.w, d.c, d.y, 8, &returned,
                   static_cast<void*>(perf)),
              0);
  CHECK_EQUAL(returned, 8);
  CHECK_EQUAL(perf[0].algo, 1);
  CHECK_EQUAL(perf[0].status, 0);
  for (const Perf& q : perf) CHECK(q.algo < 2 || q.status == 3000);  // no Winograd, FFT or GEMM in NHWC
  size_t bytes = perf[0].memory;
  void* ws = device(bytes);
  float one = 1, zero = 0;
  const void* alpha = &one;
  const void* beta = &zero;
  auto forward = [&](int algo, const void* input, size_t room) {
    return call(dnn, "cudnnConvolutionForward", d.handle, alpha, d.x, input, d.w, static_cast<const void*>(dev_w), d.c,
                algo, ws, room, beta, d.y, dev_y);
  };
  CHECK_EQUAL(forward(1, dev_x, bytes), 0);
  std::vector<double> want(outputs);
  products(p, 1, [&](size_t i, size_t j, size_t o) { want[o] += double(from_bfloat(x[i])) * from_bfloat(w[j]); });
  std::vector<uint16_t> got = download<uint16_t>(dev_y, outputs);
  size_t wrong = 0;
  for (size_t k = 0; k < outputs; ++k)
    wrong += std::fabs(from_bfloat(got[k]) - want[k]) > std::fabs(want[k]) / 256 + 1e-5 ? 1 : 0;
  CHECK_EQUAL(wrong, 0);  // bf16 keeps 8 bits: half a unit is 1/512 to 1/256 of the value
  CHECK_EQUAL(forward(6, dev_x, bytes), 3000);
  CHECK_EQUAL(forward(1, dev_x, bytes - 1), 2006);
  CHECK_EQUAL(forward(1, static_cast<char*>(dev_x) + 2, bytes), 2003);
  CHECK_EQUAL(forward(1, nullptr, bytes), 2002);
  // Descriptors in the wrong order of arguments, of other shapes and layouts.
  CHECK_EQUAL(call(dnn, "cudnnSetTensor4dDescriptor", d.x, 9, 1, p.n, p.c, p.h, p.w), 3000);
  CHECK_EQUAL(call(dnn, "cudnnSetFilter4dDescriptor", d.w, 1, 9, p.k, p.c, p.r, p.s), 3003);
  CHECK_EQUAL(call(dnn, "cudnnSetTensor4dDescriptor", d.x, 0, 9, p.n, p.c, p.h, p.w), 0);
  CHECK_EQUAL(forward(1, dev_x, bytes), 3004);
  CHECK_EQUAL(call(dnn, "cudnnSetTensor4dDescriptorEx", d.x, 9, p.n, p.c, p.h, p.w, p.h * p.w * 16, 1, p.w * 16, 16),
              0);
  CHECK_EQUAL(forward(1, dev_x, bytes), 3004);  // a slice of 16 channels is not HWC-packed
  CHECK_EQUAL(call(dnn, "cudnnSetTensor4dDescriptor", d.x, 1, 9, p.n, p.c + 8, p.h, p.w), 0);
  CHECK_EQUAL(forward(1, dev_x, bytes), 2008);
  CHECK_EQUAL(call(dnn, "cudnnSetTensor4dDescriptor", d.x, 1, 0, p.n, p.c, p.h, p.w), 0);
  CHECK_EQUAL(forward(1, dev_x, bytes), 3003);
  char text[256];
  reinterpret_cast<void (*)(char*, size_t)>(symbol(dnn, "cudnnGetLastErrorString"))(text, sizeof text);
  CHECK_CONTAINS(std::string(text), std::string("differ in data type"));
  CHECK_EQUAL(call(dnn, "cudnnSetTensor4dDescriptor", d.x, 1, 9, p.n, p.c, p.h, p.w), 0);
  CHECK_EQUAL(call(dnn, "cudnnSetConvolution2dDescriptor", d.c, 1, 1, 1, 1, 1, 1, 1, 9),
              3003);  // computes in float only
  CHECK_EQUAL(call(dnn, "cudnnSetActivationDescriptor", d.a, 5, 0, 0.0), 0);
  void* dev_b = upload(std::vector<uint16_t>(8, 0));
  CHECK_EQUAL(call(dnn, "cudnnConvolutionBiasActivationForward", d.handle, alpha, d.x, static_cast<const void*>(dev_x),
                   d.w, static_cast<const void*>(dev_w), d.c, 0, ws, bytes, beta, d.y, static_cast<const void*>(dev_y),
                   d.b, static_cast<const void*>(dev_b), d.a, d.y, dev_y),
              3000);  // identity only with the precomputed product
  CHECK_EQUAL(call(dnn, "cudnnDestroyTensorDescriptor", d.x), 0);
  CHECK_EQUAL(forward(1, dev_x, bytes), 2000);
  CHECK_EQUAL(call(dnn, "cudnnPoolingForward"), 3000);
  // TF32 unless forbidden: 1 + 2^-12 loses its last bit in one mode and keeps it in the other.
  for (int math : {0, 3}) {
    start();
    Conv q{1, 1, 1, 1, 1, 1, 1, 0, 1, 1};
    Descriptors e(q, 1, 0, math);
    void* value = upload(std::vector<float>{1.0f + 1.0f / 4096});
    void* unit = upload(std::vector<float>{1.0f});
    void* result = device(4);
    CHECK_EQUAL(call(dnn, "cudnnConvolutionForward", e.handle, alpha, e.x, static_cast<const void*>(value), e.w,
                     static_cast<const void*>(unit), e.c, 0, static_cast<void*>(nullptr), size_t(0), beta, e.y, result),
                0);
    CHECK_EQUAL(download<float>(result, 1)[0], math == 0 ? 1.0f : 1.0f + 1.0f / 4096);
  }
}

// A captured step of library calls replays with one driver call and sees new inputs.
void test_capture() {
  start();
  Conv p{1, 8, 4, 4, 8, 3, 3, 1, 1, 1};
  Descriptors d(p, 1, 0);
  Handle stream = nullptr, graph = nullptr, exec = nullptr;
  CHECK_EQUAL(call(cuda, "cuStreamCreate", &stream, 1u), 0);
  CHECK_EQUAL(call(dnn, "cudnnSetStream", d.handle, stream), 0);
  size_t bytes = 0;
  CHECK_EQUAL(call(dnn, "cudnnGetConvolutionForwardWorkspaceSize", d.handle, d.x, d.w, d.c, d.y, 1, &bytes), 0);
  void* ws = device(bytes);
  std::vector<float> x = noise(128);
  void* dev_x = upload(x);
  void* dev_w = upload(noise(8 * 8 * 9));
  void* dev_y = device(128 * 4);
  float one = 1, zero = 0;
  const void* alpha = &one;
  const void* beta = &zero;
  auto forward = [&] {
    return call(dnn, "cudnnConvolutionForward", d.handle, alpha, d.x, static_cast<const void*>(dev_x), d.w,
                static_cast<const void*>(dev_w), d.c, 1, ws, bytes, beta, d.y, dev_y);
  };
  CHECK_EQUAL(forward(), 0);
  std::vector<float> first = download<float>(dev_y, 128);
  CHECK_EQUAL(call(cuda, "cuStreamBeginCapture_v2", stream, 0), 0);
  CHECK_EQUAL(forward(), 0);
  CHECK_EQUAL(call(cuda, "cuStreamEndCapture", stream, &graph), 0);
  CHECK_EQUAL(call(cuda, "cuGraphInstantiateWithFlags", &exec, graph, uint64_t(0)), 0);
  for (float& v : x) v *= 2;
  CHECK_EQUAL(
      call(cuda, "cuMemcpyHtoD_v2", reinterpret_cast<Pointer>(dev_x), static_cast<const void*>(x.data()), x.size() * 4),
      0);
  auto total = reinterpret_cast<uint64_t (*)()>(symbol(cuda, "cudasim_total_call_count"));
  uint64_t before = total();
  CHECK_EQUAL(call(cuda, "cuGraphLaunch", exec, stream), 0);
  CHECK_EQUAL(total() - before, 1);
  std::vector<float> second = download<float>(dev_y, 128);
  bool doubled = true;
  for (size_t k = 0; k < 128; ++k) doubled = doubled && second[k] == 2 * first[k];
  CHECK(doubled);  // a power of two scales exactly
}

}  // namespace

int main(int argc, char** argv) {
  folder = argc > 1 ? argv[1] : ".";
  setenv("CUDASIM_QUIET", "1", 1);
  unsetenv("NVIDIA_TF32_OVERRIDE");
  cuda = open_library("libcuda.so.1");
  fft = open_library("libcufft.so.11");
  blas = open_library("libcublas.so.12");
  dnn = open_library("libcudnn.so.9");
  test_fft();
  test_blas();
  for (int format : {0, 1}) {
    test_convolution({2, 6, 7, 5, 4, 3, 3, 1, 1, 1}, format);
    test_convolution({1, 4, 8, 9, 6, 3, 3, 1, 2, 2}, format);
    test_convolution({2, 3, 5, 4, 7, 1, 1, 0, 1, 1}, format);
  }
  test_convolution_rules();
  test_capture();
  reinterpret_cast<void (*)()>(symbol(cuda, "cudasim_reset"))();
  std::printf("%d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
