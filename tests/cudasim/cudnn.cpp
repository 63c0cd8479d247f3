// cuDNN 9, the legacy convolution API: descriptors checked as the documentation asks, the arithmetic by oneDNN in
// float32.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "ptx_float.h"
#include "runtime.h"

using namespace cudasim;

namespace {

enum Result {
  kOk = 0,
  kNotInit = 1001,
  kBadParam = 2000,
  kNullPointer = 2002,
  kMisaligned = 2003,
  kSizeInsufficient = 2006,
  kStreamMismatch = 2007,
  kShapeMismatch = 2008,
  kUnsupported = 3000,
  kUnsupportedShape = 3002,
  kUnsupportedDataType = 3003,
  kUnsupportedLayout = 3004,
  kInternal = 4000,
  kHostAllocFailed = 4003,
  kDeviceAllocFailed = 4004,
  kExecutionFailed = 5000,
  kDriver = 5001
};
enum DataType { kFloat = 0, kDouble = 1, kHalf = 2, kBfloat16 = 9 };
enum Format { kNchw = 0, kNhwc = 1 };
enum Math { kDefaultMath = 0, kTensorOp = 1, kTensorOpAllowConversion = 2, kFma = 3 };

struct Descriptor {
  explicit Descriptor(const char* k) : kind(k) {}
  virtual ~Descriptor() = default;
  const char* kind;
};
struct Handle : Descriptor {
  Handle() : Descriptor("handle") {}
  StreamHandle stream = nullptr;
  DevicePointer own = 0;
};
struct Tensor : Descriptor {
  Tensor() : Descriptor("tensor descriptor") {}
  bool set = false;
  int type = 0;
  int n = 0, c = 0, h = 0, w = 0;
  int64_t sn = 0, sc = 0, sh = 0, sw = 0;
};
struct Filter : Descriptor {
  Filter() : Descriptor("filter descriptor") {}
  bool set = false;
  int type = 0, format = 0;
  int k = 0, c = 0, r = 0, s = 0;
};
struct Convolution : Descriptor {
  Convolution() : Descriptor("convolution descriptor") {}
  bool set = false;
  int pad_h = 0, pad_w = 0, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int mode = 0, compute = 0, math = kDefaultMath, groups = 1;
};
struct Activation : Descriptor {
  Activation() : Descriptor("activation descriptor") {}
  bool set = false;
  int mode = 0, nan = 0;
  double coefficient = 0;
};

std::recursive_mutex mutex;
std::map<void*, std::unique_ptr<Descriptor>> live;
std::string last_error;

int refuse(int status, const std::string& message) {
  last_error = message;
  complain("cuDNN: " + message);
  return status;
}

template <typename T>
int create(T** out, const char* counted) {
  if (out == nullptr) return kNullPointer;
  auto made = std::make_unique<T>();
  *out = made.get();
  live.emplace(made.get(), std::move(made));
  count_handle(counted, 1);
  return kOk;
}
template <typename T>
T* find(void* handle) {
  auto found = live.find(handle);
  return found == live.end() ? nullptr : dynamic_cast<T*>(found->second.get());
}
template <typename T>
int destroy(void* handle, const char* counted) {
  if (find<T>(handle) == nullptr)
    return refuse(kBadParam, "destruction of a " + std::string(T().kind) + " that does not exist");
  live.erase(handle);
  count_handle(counted, -1);
  return kOk;
}

struct Failure {
  int status;
  std::string message;
};
[[noreturn]] void fail(int status, const std::string& message) { throw Failure{status, message}; }
void require(bool condition, int status, const std::string& message) {
  if (!condition) fail(status, message);
}

template <typename Body>
int guarded(const char* name, Body&& body) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  count_call(name);
  try {
    body();
    return kOk;
  } catch (const Failure& f) {
    return refuse(f.status, std::string(name) + ": " + f.message);
  } catch (const std::exception& e) {
    return refuse(kInternal, std::string(name) + ": " + e.what());
  }
}

template <typename T>
T& need(void* handle) {
  T* found = find<T>(handle);
  if (found == nullptr)
    fail(handle == nullptr ? kNullPointer : kBadParam, "a " + std::string(T().kind) + " that does not exist");
  return *found;
}
template <typename T>
T& need_set(void* handle) {
  T& d = need<T>(handle);
  require(d.set, kBadParam, "a " + std::string(d.kind) + " that was never set");
  return d;
}

size_t bytes_of(int type) { return type == kFloat ? 4 : 2; }

void check_type(int type) {
  require(type >= 0 && type <= 21, kBadParam, "unknown data type " + std::to_string(type));
  require(type == kFloat || type == kHalf || type == kBfloat16, kUnsupportedDataType,
          "data type " + std::to_string(type) + " is not simulated");
}

void set_tensor(Tensor& t, int type, int n, int c, int h, int w, int64_t sn, int64_t sc, int64_t sh, int64_t sw) {
  check_type(type);
  require(n > 0 && c > 0 && h > 0 && w > 0, kBadParam, "an extent below 1");
  require(sn > 0 && sc > 0 && sh > 0 && sw > 0, kBadParam, "a stride below 1");
  int64_t last = (n - 1) * sn + (c - 1) * sc + (h - 1) * sh + (w - 1) * sw;
  require(last < (int64_t(1) << 31), kUnsupportedShape, "a tensor of 2^31 elements or more");
  t = Tensor();
  t.set = true;
  t.type = type;
  t.n = n, t.c = c, t.h = h, t.w = w;
  t.sn = sn, t.sc = sc, t.sh = sh, t.sw = sw;
}
void set_packed(Tensor& t, int format, int type, int n, int c, int h, int w) {
  require(format == kNchw || format == kNhwc, kUnsupported, "tensor format " + std::to_string(format));
  int64_t C = c, H = h, W = w;
  if (format == kNchw) {
    set_tensor(t, type, n, c, h, w, C * H * W, H * W, W, 1);
  } else {
    set_tensor(t, type, n, c, h, w, C * H * W, 1, W * C, C);
  }
}
void set_filter(Filter& f, int type, int format, int k, int c, int r, int s) {
  check_type(type);
  require(format == kNchw || format == kNhwc, kUnsupported, "filter format " + std::to_string(format));
  require(k > 0 && c > 0 && r > 0 && s > 0, kBadParam, "an extent below 1");
  f = Filter();
  f.set = true;
  f.type = type, f.format = format, f.k = k, f.c = c, f.r = r, f.s = s;
}
void set_convolution(Convolution& d, int ph, int pw, int sh, int sw, int dh, int dw, int mode, int compute) {
  require(ph >= 0 && pw >= 0, kBadParam, "a negative padding");
  require(sh > 0 && sw > 0 && dh > 0 && dw > 0, kBadParam, "a stride or dilation below 1");
  require(mode == 0 || mode == 1, kBadParam, "unknown convolution mode");
  require(compute == kFloat, kUnsupportedDataType,
          "compute type " + std::to_string(compute) + "; only FLOAT is simulated");
  int math = d.math;
  int groups = d.groups;
  d = Convolution();
  d.set = true;
  d.pad_h = ph, d.pad_w = pw, d.stride_h = sh, d.stride_w = sw, d.dilation_h = dh, d.dilation_w = dw;
  d.mode = mode, d.compute = compute, d.math = math, d.groups = groups;
}

// Strides of the dimensions that have more than one element decide the layout; the image stride is free.
bool channels_last(const Tensor& t, bool packed) {
  int64_t pixel = t.w > 1 ? t.sw : t.h > 1 ? t.sh / t.w : t.c;
  bool order = (t.c == 1 || t.sc == 1) && (t.w == 1 || t.sw >= t.c) &&
               (t.h == 1 || t.sh == t.w * pixel || (t.w == 1 && t.sh >= t.c));
  return order && (!packed || pixel == t.c);
}
bool channels_first(const Tensor& t, bool packed) {
  bool order = (t.w == 1 || t.sw == 1) && (t.h == 1 || t.sh >= t.w) && (t.c == 1 || t.sc >= int64_t(t.h) * t.w);
  bool tight = (t.h == 1 || t.sh == t.w) && (t.c == 1 || t.sc == int64_t(t.h) * t.w);
  return order && (!packed || tight);
}

int output_extent(int in, int filter, int pad, int stride, int dilation) {
  return (in + 2 * pad - ((filter - 1) * dilation + 1)) / stride + 1;
}

// A convolution problem, by value, for work that runs later.
struct Problem {
  Tensor x, y;
  Filter w;
  Convolution c;
  bool tf32 = false;
};

enum Pass { kForward, kBackwardData, kBackwardFilter };

Problem problem_of(void* x, void* w, void* c, void* y) {
  Problem p;
  p.x = need_set<Tensor>(x);
  p.w = need_set<Filter>(w);
  p.c = need_set<Convolution>(c);
  p.y = need_set<Tensor>(y);
  require(p.x.type == p.w.type && p.x.type == p.y.type, kUnsupportedDataType,
          "input, filter and output differ in data type");
  require(p.x.c == p.w.c * p.c.groups, kShapeMismatch,
          "the input has " + std::to_string(p.x.c) + " channels, the filter " + std::to_string(p.w.c));
  require(p.w.k % p.c.groups == 0, kBadParam, "filters are not a multiple of the groups");
  int h = output_extent(p.x.h, p.w.r, p.c.pad_h, p.c.stride_h, p.c.dilation_h);
  int v = output_extent(p.x.w, p.w.s, p.c.pad_w, p.c.stride_w, p.c.dilation_w);
  require(h > 0 && v > 0, kBadParam, "the output is empty");
  require(p.y.n == p.x.n && p.y.c == p.w.k && p.y.h == h && p.y.w == v, kShapeMismatch,
          "the output is " + std::to_string(p.y.n) + "x" + std::to_string(p.y.c) + "x" + std::to_string(p.y.h) + "x" +
              std::to_string(p.y.w) + ", not " + std::to_string(p.x.n) + "x" + std::to_string(p.w.k) + "x" +
              std::to_string(h) + "x" + std::to_string(v));
  // The documentation asks for HWC-packed tensors with an NHWC filter.
  static const bool strided = environment_number("CUDASIM_CUDNN_STRIDED", 0) != 0;
  if (p.w.format == kNhwc) {
    require(channels_last(p.x, !strided) && channels_last(p.y, !strided), kUnsupportedLayout,
            "an NHWC filter needs HWC-packed NHWC tensors (only the image stride is free)");
  } else {
    require(channels_first(p.x, false) && channels_first(p.y, false), kUnsupportedLayout,
            "an NCHW filter needs NCHW tensors");
  }
  p.tf32 = p.x.type == kFloat && p.c.math != kFma && ptx::tf32_allowed();
  return p;
}

bool winograd_shape(const Problem& p) {
  return p.w.r == 3 && p.w.s == 3 && p.c.stride_h == 1 && p.c.stride_w == 1 && p.c.dilation_h == 1 &&
         p.c.dilation_w == 1 && p.c.groups == 1;
}

// Whether an algorithm exists for a problem. NHWC runs on the implicit products only; reduced precision has no Winograd
// transform.
bool supported(Pass pass, const Problem& p, int algo) {
  bool nhwc = p.w.format == kNhwc;
  bool f32 = p.x.type == kFloat;
  if (pass == kForward) {
    switch (algo) {
      case 0:
      case 1:
        return true;
      case 2:
        return !nhwc && f32 && p.c.groups == 1;
      case 6:
        return !nhwc && f32 && winograd_shape(p);
      case 7:
        return !nhwc && winograd_shape(p);
      default:
        return false;
    }
  }
  if (algo == 0 || algo == 1) return !(pass == kBackwardFilter && algo == 0 && !f32 && nhwc);
  int winograd = 4;
  return !nhwc && winograd_shape(p) && ((algo == winograd && f32 && pass == kBackwardData) || algo == winograd + 1);
}
int algorithm_count(Pass pass) { return pass == kForward ? 8 : pass == kBackwardData ? 6 : 7; }

size_t workspace_bytes(Pass pass, const Problem& p, int algo) {
  size_t filter = size_t(p.w.k) * p.w.c * p.w.r * p.w.s;
  size_t round = 255;
  if (pass == kForward && algo == 0) return 0;
  if (pass == kForward && algo == 1) return (size_t(p.w.r) * p.w.s * p.w.c * 8 + round) & ~round;
  if (pass == kForward && algo == 2) return (size_t(p.w.c) * p.w.r * p.w.s * p.y.h * p.y.w * 4 + round) & ~round;
  if (algo == 0) return 0;
  if (algo == 1) return (filter * 4 + round) & ~round;
  return (filter * 16 + size_t(p.x.n) * p.x.c * p.x.h * p.x.w * 8 + round) & ~round;
}

struct Perf {
  int algo;
  int status;
  float time;
  size_t memory;
  int determinism;
  int math;
  int reserved[3];
};
static_assert(sizeof(Perf) == 48, "cudnnConvolutionFwdAlgoPerf_t");

void list_algorithms(Pass pass, const Problem& p, int requested, int* returned, Perf* results, size_t limit,
                     bool measured) {
  require(requested > 0, kBadParam, "no result is asked for");
  require(returned != nullptr && results != nullptr, kNullPointer, "a result pointer is null");
  static const int preference[] = {1, 0, 7, 6, 5, 4, 2, 3};
  std::vector<Perf> list;
  for (int wanted_support = 1; wanted_support >= 0; --wanted_support) {
    for (int algo : preference) {
      if (algo >= algorithm_count(pass)) continue;
      bool ok = supported(pass, p, algo);
      size_t memory = ok ? workspace_bytes(pass, p, algo) : 0;
      bool fits = !measured || memory <= limit;
      if ((ok && fits) != (wanted_support == 1)) continue;
      Perf perf{};
      perf.algo = algo;
      perf.status = !ok ? kUnsupported : fits ? kOk : kSizeInsufficient;
      perf.time = ok && fits ? 0.01f * static_cast<float>(list.size() + 1) : -1.0f;
      perf.memory = memory;
      perf.determinism = pass != kForward && algo == 0 ? 0 : 1;
      perf.math = p.x.type == kFloat ? (p.tf32 ? kTensorOp : kFma) : kTensorOp;
      list.push_back(perf);
    }
  }
  *returned = std::min(requested, static_cast<int>(list.size()));
  std::copy_n(list.begin(), *returned, results);
}

void check_pointer(const void* p, const char* what) {
  require(p != nullptr, kNullPointer, std::string(what) + " is null");
  require(reinterpret_cast<uintptr_t>(p) % 16 == 0, kMisaligned, std::string(what) + " is not aligned to 16 bytes");
}

DevicePointer address(const void* p) { return reinterpret_cast<DevicePointer>(p); }

float load(const void* p, int64_t index, int type) {
  if (type == kFloat) return static_cast<const float*>(p)[index];
  uint16_t bits = static_cast<const uint16_t*>(p)[index];
  return type == kBfloat16 ? ptx::widen_bfloat(bits) : ptx::widen_half(bits);
}
void store(void* p, int64_t index, int type, float v) {
  if (type == kFloat) {
    static_cast<float*>(p)[index] = v;
  } else {
    static_cast<uint16_t*>(p)[index] = type == kBfloat16 ? ptx::narrow_bfloat(v) : ptx::narrow_half(v);
  }
}

// Calls body(base of a run in memory, its distance between elements, first index in a dense NHWC array, distance there,
// count).
template <typename Body>
void each_run(const Tensor& t, Body&& body) {
  for (int64_t n = 0; n < t.n; ++n) {
    for (int64_t h = 0; h < t.h; ++h) {
      int64_t dense = (n * t.h + h) * t.w * t.c;
      int64_t base = n * t.sn + h * t.sh;
      if (t.sw == 1 && t.sc != 1) {
        for (int64_t c = 0; c < t.c; ++c) body(base + c * t.sc, dense + c, t.c, t.w);
      } else if (t.sw == t.c && (t.sc == 1 || t.c == 1)) {
        body(base, dense, int64_t(1), int64_t(t.w) * t.c);
      } else if (t.sc == 1 || t.c == 1) {
        for (int64_t w = 0; w < t.w; ++w) body(base + w * t.sw, dense + w * t.c, int64_t(1), t.c);
      } else {
        for (int64_t w = 0; w < t.w; ++w) {
          for (int64_t c = 0; c < t.c; ++c)
            body(base + w * t.sw + c * t.sc, dense + w * t.c + c, int64_t(1), int64_t(1));
        }
      }
    }
  }
}

std::vector<float> gather(const Tensor& t, DevicePointer p, bool tf32, const char* what) {
  std::vector<float> dense(size_t(t.n) * t.c * t.h * t.w);
  each_run(t, [&](int64_t base, int64_t first, int64_t step, int64_t count) {
    const void* run = device_read(p + static_cast<uint64_t>(base) * bytes_of(t.type),
                                  static_cast<size_t>(count) * bytes_of(t.type), what);
    for (int64_t k = 0; k < count; ++k) {
      float v = load(run, k, t.type);
      dense[static_cast<size_t>(first + k * step)] = tf32 ? ptx::round_tf32(v) : v;
    }
  });
  return dense;
}
// y = value(index, what y held where beta is not zero)
void scatter(const Tensor& t, DevicePointer p, const std::vector<float>& dense, float alpha, float beta,
             const char* what) {
  each_run(t, [&](int64_t base, int64_t first, int64_t step, int64_t count) {
    DevicePointer at = p + static_cast<uint64_t>(base) * bytes_of(t.type);
    size_t bytes = static_cast<size_t>(count) * bytes_of(t.type);
    if (beta != 0) device_read(at, bytes, what);
    void* run = device_write(at, bytes, what);
    for (int64_t k = 0; k < count; ++k) {
      float v = alpha * dense[static_cast<size_t>(first + k * step)];
      if (beta != 0) v += beta * load(run, k, t.type);
      store(run, k, t.type, v);
    }
  });
}
// A filter as a dense [k][r][s][c] array.
std::vector<float> gather(const Filter& f, DevicePointer p, bool tf32, const char* what) {
  size_t count = size_t(f.k) * f.c * f.r * f.s;
  const void* all = device_read(p, count * bytes_of(f.type), what);
  std::vector<float> dense(count);
  int64_t at = 0;
  for (int64_t k = 0; k < f.k; ++k) {
    for (int64_t rs = 0; rs < int64_t(f.r) * f.s; ++rs) {
      for (int64_t c = 0; c < f.c; ++c, ++at) {
        float v = load(all, f.format == kNhwc ? at : (k * f.c + c) * f.r * f.s + rs, f.type);
        dense[static_cast<size_t>(at)] = tf32 ? ptx::round_tf32(v) : v;
      }
    }
  }
  return dense;
}

namespace engine {

using dnnl::memory;

struct Shapes {
  memory::dims src, weights, dst, strides, dilations, padding;
  memory::format_tag weights_tag;
};

Shapes shapes_of(const Problem& p) {
  Shapes s;
  int64_t g = p.c.groups;
  s.src = {p.x.n, p.x.c, p.x.h, p.x.w};
  s.dst = {p.y.n, p.y.c, p.y.h, p.y.w};
  s.weights = g == 1 ? memory::dims{p.w.k, p.w.c, p.w.r, p.w.s} : memory::dims{g, p.w.k / g, p.w.c, p.w.r, p.w.s};
  s.weights_tag = g == 1 ? memory::format_tag::ohwi : memory::format_tag::gohwi;
  s.strides = {p.c.stride_h, p.c.stride_w};
  s.dilations = {p.c.dilation_h - 1, p.c.dilation_w - 1};
  s.padding = {p.c.pad_h, p.c.pad_w};
  return s;
}

// Right padding that makes the library's output extent ours: rows beyond the last window are not used.
memory::dims right_padding(const Problem& p) {
  auto one = [](int in, int out, int filter, int pad, int stride, int dilation) {
    return static_cast<int64_t>((out - 1) * stride + (filter - 1) * dilation + 1 - in - pad);
  };
  return {one(p.x.h, p.y.h, p.w.r, p.c.pad_h, p.c.stride_h, p.c.dilation_h),
          one(p.x.w, p.y.w, p.w.s, p.c.pad_w, p.c.stride_w, p.c.dilation_w)};
}

dnnl::engine& device() {
  static dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

memory wrap(const memory::desc& d, std::vector<float>& data) { return memory(d, device(), data.data()); }

memory::desc describe(const memory::dims& d, memory::format_tag tag) {
  return memory::desc(d, memory::data_type::f32, tag);
}

constexpr auto kAny = memory::format_tag::any;
constexpr auto kLast = memory::format_tag::nhwc;

std::vector<float> forward(const Problem& p, std::vector<float>& x, std::vector<float>& w) {
  Shapes s = shapes_of(p);
  dnnl::stream stream(device());
  std::vector<float> y(size_t(p.y.n) * p.y.c * p.y.h * p.y.w);
  dnnl::convolution_forward::desc d(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
                                    describe(s.src, kLast), describe(s.weights, kAny), describe(s.dst, kLast),
                                    s.strides, s.dilations, s.padding, right_padding(p));
  dnnl::convolution_forward::primitive_desc pd(d, device());
  memory plain = wrap(describe(s.weights, s.weights_tag), w);
  memory packed(pd.weights_desc(), device());
  dnnl::reorder(plain, packed).execute(stream, plain, packed);
  memory src = wrap(pd.src_desc(), x);
  memory dst = wrap(pd.dst_desc(), y);
  dnnl::convolution_forward(pd).execute(stream, {{DNNL_ARG_SRC, src}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_DST, dst}});
  stream.wait();
  return y;
}

dnnl::convolution_forward::primitive_desc hint(const Problem& p) {
  Shapes s = shapes_of(p);
  dnnl::convolution_forward::desc d(dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct,
                                    describe(s.src, kLast), describe(s.weights, kAny), describe(s.dst, kLast),
                                    s.strides, s.dilations, s.padding, right_padding(p));
  return dnnl::convolution_forward::primitive_desc(d, device());
}

std::vector<float> backward_data(const Problem& p, std::vector<float>& w, std::vector<float>& dy) {
  Shapes s = shapes_of(p);
  dnnl::stream stream(device());
  std::vector<float> dx(size_t(p.x.n) * p.x.c * p.x.h * p.x.w);
  dnnl::convolution_backward_data::desc d(dnnl::algorithm::convolution_direct, describe(s.src, kLast),
                                          describe(s.weights, kAny), describe(s.dst, kLast), s.strides, s.dilations,
                                          s.padding, right_padding(p));
  dnnl::convolution_backward_data::primitive_desc pd(d, device(), hint(p));
  memory plain = wrap(describe(s.weights, s.weights_tag), w);
  memory packed(pd.weights_desc(), device());
  dnnl::reorder(plain, packed).execute(stream, plain, packed);
  memory src = wrap(pd.diff_src_desc(), dx);
  memory dst = wrap(pd.diff_dst_desc(), dy);
  dnnl::convolution_backward_data(pd).execute(
      stream, {{DNNL_ARG_DIFF_SRC, src}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_DIFF_DST, dst}});
  stream.wait();
  return dx;
}

std::vector<float> backward_filter(const Problem& p, std::vector<float>& x, std::vector<float>& dy) {
  Shapes s = shapes_of(p);
  dnnl::stream stream(device());
  std::vector<float> dw(size_t(p.w.k) * p.w.c * p.w.r * p.w.s);
  dnnl::convolution_backward_weights::desc d(dnnl::algorithm::convolution_direct, describe(s.src, kLast),
                                             describe(s.weights, kAny), describe(s.dst, kLast), s.strides, s.dilations,
                                             s.padding, right_padding(p));
  dnnl::convolution_backward_weights::primitive_desc pd(d, device(), hint(p));
  memory src = wrap(pd.src_desc(), x);
  memory dst = wrap(pd.diff_dst_desc(), dy);
  memory packed(pd.diff_weights_desc(), device());
  dnnl::convolution_backward_weights(pd).execute(
      stream, {{DNNL_ARG_SRC, src}, {DNNL_ARG_DIFF_DST, dst}, {DNNL_ARG_DIFF_WEIGHTS, packed}});
  memory plain = wrap(describe(s.weights, s.weights_tag), dw);
  dnnl::reorder(packed, plain).execute(stream, packed, plain);
  stream.wait();
  return dw;
}

}  // namespace engine

// CONVOLUTION mode turns the filter by half a turn; CROSS_CORRELATION is what networks mean.
void turn(const Problem& p, std::vector<float>& w) {
  if (p.c.mode == 1) return;
  int64_t taps = int64_t(p.w.r) * p.w.s;
  std::vector<float> turned(w.size());
  for (int64_t k = 0; k < p.w.k; ++k) {
    for (int64_t t = 0; t < taps; ++t)
      std::copy_n(w.begin() + (k * taps + t) * p.w.c, p.w.c, turned.begin() + (k * taps + taps - 1 - t) * p.w.c);
  }
  w = std::move(turned);
}

struct Workspace {
  DevicePointer address = 0;
  size_t needed = 0;
};

Workspace check_algorithm(Pass pass, const Problem& p, int algo, const void* workspace, size_t bytes) {
  require(algo >= 0 && algo < algorithm_count(pass), kBadParam, "unknown algorithm " + std::to_string(algo));
  require(supported(pass, p, algo), kUnsupported,
          "algorithm " + std::to_string(algo) + " does not exist for this problem");
  size_t needed = workspace_bytes(pass, p, algo);
  require(bytes >= needed, kSizeInsufficient,
          "the workspace has " + std::to_string(bytes) + " bytes of " + std::to_string(needed));
  if (needed > 0) check_pointer(workspace, "the workspace");
  return {address(workspace), needed};
}

float scalar(const void* p, const char* what) {
  require(p != nullptr, kNullPointer, std::string(what) + " is null");
  float v;
  std::memcpy(&v, p, 4);
  return v;
}

Handle& ready(void* handle) {
  Handle& h = need<Handle>(handle);
  Status status = device_status();
  require(status == kSuccess, kExecutionFailed, "the driver answers " + std::to_string(status));
  return h;
}

void run(Handle& h, const char* name, std::function<void()> work) {
  Status status = submit(h.stream, NodeKind::Kernel, name, std::move(work));
  require(status == kSuccess, kExecutionFailed, "the driver answers " + std::to_string(status));
}

// From the first to the last moment of a call its workspace holds nothing for anybody else: what lies over an operand shows either way.
void take(const Workspace& ws) {
  device_range(ws.address, ws.needed, "cuDNN workspace");
  device_undefine(ws.address, ws.needed);
}

void check_overlap(const void* a, const void* b, const char* what) {
  require(a != b, kBadParam, std::string(what) + " may not share memory with the output");
}

void forward(const char* name, Handle& h, const Problem& p, float alpha, const void* x, const void* w, int algo,
             const void* workspace, size_t bytes, float beta, const void* y) {
  Workspace ws = check_algorithm(kForward, p, algo, workspace, bytes);
  check_pointer(x, "the input");
  check_pointer(w, "the filter");
  check_pointer(y, "the output");
  check_overlap(x, y, "the input");
  run(h, name, [p, ws, alpha, beta, x, w, y] {
    take(ws);
    std::vector<float> dense_x = gather(p.x, address(x), p.tf32, "convolution input");
    std::vector<float> dense_w = gather(p.w, address(w), p.tf32, "convolution filter");
    turn(p, dense_w);
    scatter(p.y, address(y), engine::forward(p, dense_x, dense_w), alpha, beta, "convolution output");
    device_undefine(ws.address, ws.needed);
  });
}

void backward_data(const char* name, Handle& h, const Problem& p, float alpha, const void* w, const void* dy, int algo,
                   const void* workspace, size_t bytes, float beta, const void* dx) {
  Workspace ws = check_algorithm(kBackwardData, p, algo, workspace, bytes);
  check_pointer(w, "the filter");
  check_pointer(dy, "the output's gradient");
  check_pointer(dx, "the input's gradient");
  run(h, name, [p, ws, alpha, beta, w, dy, dx] {
    take(ws);
    std::vector<float> dense_w = gather(p.w, address(w), p.tf32, "convolution filter");
    std::vector<float> dense_dy = gather(p.y, address(dy), p.tf32, "convolution output's gradient");
    turn(p, dense_w);
    scatter(p.x, address(dx), engine::backward_data(p, dense_w, dense_dy), alpha, beta, "convolution input's gradient");
    device_undefine(ws.address, ws.needed);
  });
}

void backward_filter(const char* name, Handle& h, const Problem& p, float alpha, const void* x, const void* dy,
                     int algo, const void* workspace, size_t bytes, float beta, const void* dw) {
  Workspace ws = check_algorithm(kBackwardFilter, p, algo, workspace, bytes);
  check_pointer(x, "the input");
  check_pointer(dy, "the output's gradient");
  check_pointer(dw, "the filter's gradient");
  run(h, name, [p, ws, alpha, beta, x, dy, dw] {
    take(ws);
    std::vector<float> dense_x = gather(p.x, address(x), p.tf32, "convolution input");
    std::vector<float> dense_dy = gather(p.y, address(dy), p.tf32, "convolution output's gradient");
    std::vector<float> dense = engine::backward_filter(p, dense_x, dense_dy);
    turn(p, dense);
    size_t size = dense.size() * bytes_of(p.w.type);
    if (beta != 0) device_read(address(dw), size, "convolution filter's gradient");
    void* out = device_write(address(dw), size, "convolution filter's gradient");
    int64_t taps = int64_t(p.w.r) * p.w.s;
    for (int64_t k = 0, at = 0; k < p.w.k; ++k) {
      for (int64_t t = 0; t < taps; ++t) {
        for (int64_t c = 0; c < p.w.c; ++c, ++at) {
          int64_t index = p.w.format == kNhwc ? at : (k * p.w.c + c) * taps + t;
          float v = alpha * dense[static_cast<size_t>(at)];
          if (beta != 0) v += beta * load(out, index, p.w.type);
          store(out, index, p.w.type, v);
        }
      }
    }
    device_undefine(ws.address, ws.needed);
  });
}

// The real shim ends the process when a sub-library is missing; a client has to look first.
void load_parts() {
  static bool loaded = false;
  if (loaded) return;
  for (const char* part :
       {"graph", "ops", "cnn", "adv", "heuristic", "engines_precompiled", "engines_runtime_compiled"}) {
    std::string name = "libcudnn_" + std::string(part) + ".so.9";
    if (dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
      std::fprintf(stderr, "Unable to load any of {%s}\n", name.c_str());
      std::abort();
    }
  }
  loaded = true;
}

}  // namespace

#define API extern "C" CUDASIM_API int

API cudnnCreate(void** handle) {
  load_parts();
  return guarded("cudnnCreate", [&] {
    Status status = device_status();
    require(status == kSuccess, kNotInit, "the driver answers " + std::to_string(status));
    DevicePointer own = 0;
    status = library_allocate(&own, 1 << 20, "cuDNN");
    require(status != kOutOfMemory, kDeviceAllocFailed, "a handle's memory");
    require(status == kSuccess, kNotInit, "the driver answers " + std::to_string(status));
    if (create(reinterpret_cast<Handle**>(handle), "cudnn") != kOk) {
      library_free(own);
      require(false, kNullPointer, "the handle's address is null");
    }
    static_cast<Handle*>(*handle)->own = own;
  });
}
API cudnnDestroy(void* handle) {
  return guarded("cudnnDestroy",
                 [&] {
                   DevicePointer own = need<Handle>(handle).own;
                   require(destroy<Handle>(handle, "cudnn") == kOk, kBadParam, "no such handle");
                   library_free(own);
                 });
}
API cudnnSetStream(void* handle, void* stream) {
  return guarded("cudnnSetStream", [&] {
    Handle& h = need<Handle>(handle);
    require(stream_status(stream) == kSuccess, kBadParam, "no such stream");
    h.stream = stream;
  });
}
API cudnnGetStream(void* handle, void** stream) {
  return guarded("cudnnGetStream", [&] {
    require(stream != nullptr, kNullPointer, "the result's address is null");
    *stream = need<Handle>(handle).stream;
  });
}
extern "C" CUDASIM_API size_t cudnnGetVersion() {
  count_call("cudnnGetVersion");
  return static_cast<size_t>(environment_number("CUDASIM_CUDNN_VERSION", 90600));
}
extern "C" CUDASIM_API size_t cudnnGetCudartVersion() {
  count_call("cudnnGetCudartVersion");
  return static_cast<size_t>(environment_number("CUDASIM_CUDNN_CUDART_VERSION", CUDASIM_CUDART_VERSION));
}
extern "C" CUDASIM_API size_t cudnnGetMaxDeviceVersion() { return 1200; }
API cudnnGraphVersionCheck() { return kOk; }
API cudnnOpsVersionCheck() { return kOk; }
API cudnnCnnVersionCheck() { return kOk; }
API cudnnAdvVersionCheck() { return kOk; }
extern "C" CUDASIM_API const char* cudnnGetErrorString(int status) {
  switch (status) {
    case 0:
      return "CUDNN_STATUS_SUCCESS";
    case 1001:
      return "CUDNN_STATUS_NOT_INITIALIZED";
    case 1002:
      return "CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH";
    case 1003:
      return "CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH";
    case 1008:
      return "CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED";
    case 2000:
      return "CUDNN_STATUS_BAD_PARAM";
    case 2002:
      return "CUDNN_STATUS_BAD_PARAM_NULL_POINTER";
    case 2003:
      return "CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER";
    case 2004:
      return "CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED";
    case 2005:
      return "CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND";
    case 2006:
      return "CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT";
    case 2007:
      return "CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH";
    case 2008:
      return "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH";
    case 3000:
      return "CUDNN_STATUS_NOT_SUPPORTED";
    case 3002:
      return "CUDNN_STATUS_NOT_SUPPORTED_SHAPE";
    case 3003:
      return "CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE";
    case 3004:
      return "CUDNN_STATUS_NOT_SUPPORTED_LAYOUT";
    case 4000:
      return "CUDNN_STATUS_INTERNAL_ERROR";
    case 4003:
      return "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED";
    case 4004:
      return "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED";
    case 5000:
      return "CUDNN_STATUS_EXECUTION_FAILED";
    case 5001:
      return "CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER";
    default:
      return "CUDNN_UNKNOWN_STATUS";
  }
}
extern "C" CUDASIM_API void cudnnGetLastErrorString(char* text, size_t capacity) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  count_call("cudnnGetLastErrorString");
  if (text == nullptr || capacity == 0) return;
  std::snprintf(text, capacity, "%s", last_error.c_str());
  last_error.clear();
}

#define DESCRIPTOR(Type, name)                                                                        \
  API cudnnCreate##name##Descriptor(void** descriptor) {                                              \
    return guarded("cudnnCreate" #name "Descriptor", [&] {                                            \
      require(create(reinterpret_cast<Type**>(descriptor), "cudnn descriptor") == kOk, kNullPointer,  \
              "the descriptor's address is null");                                                    \
    });                                                                                               \
  }                                                                                                   \
  API cudnnDestroy##name##Descriptor(void* descriptor) {                                              \
    return guarded("cudnnDestroy" #name "Descriptor", [&] {                                           \
      require(destroy<Type>(descriptor, "cudnn descriptor") == kOk, kBadParam, "no such descriptor"); \
    });                                                                                               \
  }
DESCRIPTOR(Tensor, Tensor)
DESCRIPTOR(Filter, Filter)
DESCRIPTOR(Convolution, Convolution)
DESCRIPTOR(Activation, Activation)

API cudnnSetTensor4dDescriptor(void* t, int format, int type, int n, int c, int h, int w) {
  return guarded("cudnnSetTensor4dDescriptor", [&] { set_packed(need<Tensor>(t), format, type, n, c, h, w); });
}
API cudnnSetTensor4dDescriptorEx(void* t, int type, int n, int c, int h, int w, int sn, int sc, int sh, int sw) {
  return guarded("cudnnSetTensor4dDescriptorEx",
                 [&] { set_tensor(need<Tensor>(t), type, n, c, h, w, sn, sc, sh, sw); });
}
API cudnnSetTensorNdDescriptor(void* t, int type, int count, const int* dims, const int* strides) {
  return guarded("cudnnSetTensorNdDescriptor", [&] {
    require(dims != nullptr && strides != nullptr, kNullPointer, "dims or strides are null");
    require(count >= 4 && count <= 8, kBadParam, "a tensor has 4 to 8 dimensions");
    require(count == 4, kUnsupported, "more than 4 dimensions are not simulated");
    set_tensor(need<Tensor>(t), type, dims[0], dims[1], dims[2], dims[3], strides[0], strides[1], strides[2],
               strides[3]);
  });
}
API cudnnSetTensorNdDescriptorEx(void* t, int format, int type, int count, const int* dims) {
  return guarded("cudnnSetTensorNdDescriptorEx", [&] {
    require(dims != nullptr, kNullPointer, "dims are null");
    require(count >= 4 && count <= 8, kBadParam, "a tensor has 4 to 8 dimensions");
    require(count == 4, kUnsupported, "more than 4 dimensions are not simulated");
    set_packed(need<Tensor>(t), format, type, dims[0], dims[1], dims[2], dims[3]);
  });
}
API cudnnSetFilter4dDescriptor(void* f, int type, int format, int k, int c, int r, int s) {
  return guarded("cudnnSetFilter4dDescriptor", [&] { set_filter(need<Filter>(f), type, format, k, c, r, s); });
}
API cudnnSetFilterNdDescriptor(void* f, int type, int format, int count, const int* dims) {
  return guarded("cudnnSetFilterNdDescriptor", [&] {
    require(dims != nullptr, kNullPointer, "dims are null");
    require(count == 4, kUnsupported, "filters of 4 dimensions are simulated");
    set_filter(need<Filter>(f), type, format, dims[0], dims[1], dims[2], dims[3]);
  });
}
API cudnnSetConvolution2dDescriptor(void* c, int ph, int pw, int sh, int sw, int dh, int dw, int mode, int compute) {
  return guarded("cudnnSetConvolution2dDescriptor",
                 [&] { set_convolution(need<Convolution>(c), ph, pw, sh, sw, dh, dw, mode, compute); });
}
API cudnnSetConvolutionNdDescriptor(void* c, int count, const int* pad, const int* stride, const int* dilation,
                                    int mode, int compute) {
  return guarded("cudnnSetConvolutionNdDescriptor", [&] {
    require(pad != nullptr && stride != nullptr && dilation != nullptr, kNullPointer, "an array is null");
    require(count == 2, kUnsupported, "two spatial dimensions are simulated");
    set_convolution(need<Convolution>(c), pad[0], pad[1], stride[0], stride[1], dilation[0], dilation[1], mode,
                    compute);
  });
}
API cudnnSetConvolutionMathType(void* c, int math) {
  return guarded("cudnnSetConvolutionMathType", [&] {
    require(math >= 0 && math <= 3, kBadParam, "unknown math type");
    need<Convolution>(c).math = math;
  });
}
API cudnnSetConvolutionGroupCount(void* c, int groups) {
  return guarded("cudnnSetConvolutionGroupCount", [&] {
    require(groups > 0, kBadParam, "a group count below 1");
    need<Convolution>(c).groups = groups;
  });
}
API cudnnSetConvolutionReorderType(void* c, int reorder) {
  return guarded("cudnnSetConvolutionReorderType", [&] {
    require(reorder == 0 || reorder == 1, kBadParam, "unknown reorder type");
    need<Convolution>(c);
  });
}
API cudnnGetConvolutionNdForwardOutputDim(void* c, void* x, void* w, int count, int* dims) {
  return guarded("cudnnGetConvolutionNdForwardOutputDim", [&] {
    require(dims != nullptr && count == 4, kBadParam, "room for 4 dimensions is needed");
    const auto& d = need_set<Convolution>(c);
    const auto& t = need_set<Tensor>(x);
    const auto& f = need_set<Filter>(w);
    dims[0] = t.n;
    dims[1] = f.k;
    dims[2] = output_extent(t.h, f.r, d.pad_h, d.stride_h, d.dilation_h);
    dims[3] = output_extent(t.w, f.s, d.pad_w, d.stride_w, d.dilation_w);
  });
}
API cudnnSetActivationDescriptor(void* a, int mode, int nan, double coefficient) {
  return guarded("cudnnSetActivationDescriptor", [&] {
    require(mode >= 0 && mode <= 6, kBadParam, "unknown activation");
    require(nan == 0 || nan == 1, kBadParam, "unknown NaN propagation");
    auto& d = need<Activation>(a);
    d.set = true;
    d.mode = mode;
    d.nan = nan;
    d.coefficient = coefficient;
  });
}

// ---- forward ----

API cudnnGetConvolutionForwardAlgorithm_v7(void* h, void* x, void* w, void* c, void* y, int requested, int* returned,
                                           void* results) {
  return guarded("cudnnGetConvolutionForwardAlgorithm_v7", [&] {
    need<Handle>(h);
    list_algorithms(kForward, problem_of(x, w, c, y), requested, returned, static_cast<Perf*>(results), 0, false);
  });
}
API cudnnGetConvolutionForwardAlgorithmMaxCount(void* h, int* count) {
  return guarded("cudnnGetConvolutionForwardAlgorithmMaxCount", [&] {
    need<Handle>(h);
    require(count != nullptr, kNullPointer, "the result's address is null");
    *count = algorithm_count(kForward);
  });
}
API cudnnGetConvolutionForwardWorkspaceSize(void* h, void* x, void* w, void* c, void* y, int algo, size_t* bytes) {
  return guarded("cudnnGetConvolutionForwardWorkspaceSize", [&] {
    need<Handle>(h);
    Problem p = problem_of(x, w, c, y);
    require(bytes != nullptr, kNullPointer, "the result's address is null");
    require(algo >= 0 && algo < algorithm_count(kForward), kBadParam, "unknown algorithm");
    require(supported(kForward, p, algo), kUnsupported,
            "algorithm " + std::to_string(algo) + " does not exist for this problem");
    *bytes = workspace_bytes(kForward, p, algo);
  });
}
API cudnnConvolutionForward(void* h, const void* alpha, void* x_descriptor, const void* x, void* w_descriptor,
                            const void* w, void* c, int algo, void* workspace, size_t bytes, const void* beta,
                            void* y_descriptor, void* y) {
  return guarded("cudnnConvolutionForward", [&] {
    forward("cudnnConvolutionForward", ready(h), problem_of(x_descriptor, w_descriptor, c, y_descriptor),
            scalar(alpha, "alpha"), x, w, algo, workspace, bytes, scalar(beta, "beta"), y);
  });
}
API cudnnFindConvolutionForwardAlgorithmEx(void* h, void* x_descriptor, const void* x, void* w_descriptor,
                                           const void* w, void* c, void* y_descriptor, void* y, int requested,
                                           int* returned, void* results, void* workspace, size_t bytes) {
  return guarded("cudnnFindConvolutionForwardAlgorithmEx", [&] {
    Handle& handle = ready(h);
    require(!stream_capturing(handle.stream), kExecutionFailed, "measuring is not possible while the stream captures");
    Problem p = problem_of(x_descriptor, w_descriptor, c, y_descriptor);
    auto* perf = static_cast<Perf*>(results);
    list_algorithms(kForward, p, requested, returned, perf, bytes, true);
    if (perf[0].status == kOk)
      forward("cudnnFindConvolutionForwardAlgorithmEx", handle, p, 1, x, w, perf[0].algo, workspace, bytes, 0, y);
  });
}
API cudnnConvolutionBiasActivationForward(void* h, const void* alpha1, void* x_descriptor, const void* x,
                                          void* w_descriptor, const void* w, void* c, int algo, void* workspace,
                                          size_t bytes, const void* alpha2, void* z_descriptor, const void* z,
                                          void* bias_descriptor, const void* bias, void* activation, void* y_descriptor,
                                          void* y) {
  return guarded("cudnnConvolutionBiasActivationForward", [&] {
    Handle& handle = ready(h);
    Problem p = problem_of(x_descriptor, w_descriptor, c, y_descriptor);
    const auto zt = need_set<Tensor>(z_descriptor);
    const auto bt = need_set<Tensor>(bias_descriptor);
    const auto a = need_set<Activation>(activation);
    float scale = scalar(alpha1, "alpha1");
    float residual = scalar(alpha2, "alpha2");
    require(a.mode == 1 || a.mode == 5, kUnsupported, "the activation must be RELU or IDENTITY");
    require(a.mode != 5 || algo == 1, kUnsupported, "IDENTITY needs algorithm IMPLICIT_PRECOMP_GEMM (1)");
    require(bt.n == 1 && bt.c == p.w.k && bt.h == 1 && bt.w == 1, kShapeMismatch, "the bias must be 1 x K x 1 x 1");
    require(bt.type == p.y.type, kUnsupportedDataType, "the bias must have the output's data type");
    require(zt.type == p.y.type && zt.n == p.y.n && zt.c == p.y.c && zt.h == p.y.h && zt.w == p.y.w, kShapeMismatch,
            "z must be described like the output");
    require(zt.sn == p.y.sn && zt.sc == p.y.sc && zt.sh == p.y.sh && zt.sw == p.y.sw, kUnsupportedLayout,
            "z must be laid out like the output");
    Workspace ws = check_algorithm(kForward, p, algo, workspace, bytes);
    check_pointer(x, "the input");
    check_pointer(w, "the filter");
    check_pointer(y, "the output");
    check_pointer(bias, "the bias");
    if (residual != 0) check_pointer(z, "z");
    check_overlap(x, y, "the input");
    run(handle, "cudnnConvolutionBiasActivationForward", [p, ws, zt, bt, a, scale, residual, x, w, z, bias, y] {
      take(ws);
      std::vector<float> dense_x = gather(p.x, address(x), p.tf32, "convolution input");
      std::vector<float> dense_w = gather(p.w, address(w), p.tf32, "convolution filter");
      turn(p, dense_w);
      std::vector<float> dense_b = gather(bt, address(bias), false, "convolution bias");
      std::vector<float> dense_z;
      if (residual != 0) dense_z = gather(zt, address(z), false, "convolution residual");
      std::vector<float> dense_y = engine::forward(p, dense_x, dense_w);
      for (size_t k = 0; k < dense_y.size(); ++k) {
        float v = scale * dense_y[k] + dense_b[k % dense_b.size()];
        if (residual != 0) v += residual * dense_z[k];
        if (a.mode == 1 && !(v > 0)) v = v != v && a.nan == 1 ? v : 0;
        dense_y[k] = v;
      }
      scatter(p.y, address(y), dense_y, 1, 0, "convolution output");
      device_undefine(ws.address, ws.needed);
    });
  });
}

// ---- backward ----

API cudnnGetConvolutionBackwardDataAlgorithm_v7(void* h, void* w, void* dy, void* c, void* dx, int requested,
                                                int* returned, void* results) {
  return guarded("cudnnGetConvolutionBackwardDataAlgorithm_v7", [&] {
    need<Handle>(h);
    list_algorithms(kBackwardData, problem_of(dx, w, c, dy), requested, returned, static_cast<Perf*>(results), 0,
                    false);
  });
}
API cudnnGetConvolutionBackwardDataWorkspaceSize(void* h, void* w, void* dy, void* c, void* dx, int algo,
                                                 size_t* bytes) {
  return guarded("cudnnGetConvolutionBackwardDataWorkspaceSize", [&] {
    need<Handle>(h);
    Problem p = problem_of(dx, w, c, dy);
    require(bytes != nullptr, kNullPointer, "the result's address is null");
    require(algo >= 0 && algo < algorithm_count(kBackwardData), kBadParam, "unknown algorithm");
    require(supported(kBackwardData, p, algo), kUnsupported,
            "algorithm " + std::to_string(algo) + " does not exist for this problem");
    *bytes = workspace_bytes(kBackwardData, p, algo);
  });
}
API cudnnConvolutionBackwardData(void* h, const void* alpha, void* w_descriptor, const void* w, void* dy_descriptor,
                                 const void* dy, void* c, int algo, void* workspace, size_t bytes, const void* beta,
                                 void* dx_descriptor, void* dx) {
  return guarded("cudnnConvolutionBackwardData", [&] {
    backward_data("cudnnConvolutionBackwardData", ready(h), problem_of(dx_descriptor, w_descriptor, c, dy_descriptor),
                  scalar(alpha, "alpha"), w, dy, algo, workspace, bytes, scalar(beta, "beta"), dx);
  });
}
API cudnnFindConvolutionBackwardDataAlgorithmEx(void* h, void* w_descriptor, const void* w, void* dy_descriptor,
                                                const void* dy, void* c, void* dx_descriptor, void* dx, int requested,
                                                int* returned, void* results, void* workspace, size_t bytes) {
  return guarded("cudnnFindConvolutionBackwardDataAlgorithmEx", [&] {
    Handle& handle = ready(h);
    require(!stream_capturing(handle.stream), kExecutionFailed, "measuring is not possible while the stream captures");
    Problem p = problem_of(dx_descriptor, w_descriptor, c, dy_descriptor);
    auto* perf = static_cast<Perf*>(results);
    list_algorithms(kBackwardData, p, requested, returned, perf, bytes, true);
    if (perf[0].status == kOk)
      backward_data("cudnnFindConvolutionBackwardDataAlgorithmEx", handle, p, 1, w, dy, perf[0].algo, workspace, bytes,
                    0, dx);
  });
}
API cudnnGetConvolutionBackwardFilterAlgorithm_v7(void* h, void* x, void* dy, void* c, void* dw, int requested,
                                                  int* returned, void* results) {
  return guarded("cudnnGetConvolutionBackwardFilterAlgorithm_v7", [&] {
    need<Handle>(h);
    list_algorithms(kBackwardFilter, problem_of(x, dw, c, dy), requested, returned, static_cast<Perf*>(results), 0,
                    false);
  });
}
API cudnnGetConvolutionBackwardFilterWorkspaceSize(void* h, void* x, void* dy, void* c, void* dw, int algo,
                                                   size_t* bytes) {
  return guarded("cudnnGetConvolutionBackwardFilterWorkspaceSize", [&] {
    need<Handle>(h);
    Problem p = problem_of(x, dw, c, dy);
    require(bytes != nullptr, kNullPointer, "the result's address is null");
    require(algo >= 0 && algo < algorithm_count(kBackwardFilter), kBadParam, "unknown algorithm");
    require(supported(kBackwardFilter, p, algo), kUnsupported,
            "algorithm " + std::to_string(algo) + " does not exist for this problem");
    *bytes = workspace_bytes(kBackwardFilter, p, algo);
  });
}
API cudnnConvolutionBackwardFilter(void* h, const void* alpha, void* x_descriptor, const void* x, void* dy_descriptor,
                                   const void* dy, void* c, int algo, void* workspace, size_t bytes, const void* beta,
                                   void* dw_descriptor, void* dw) {
  return guarded("cudnnConvolutionBackwardFilter", [&] {
    backward_filter("cudnnConvolutionBackwardFilter", ready(h),
                    problem_of(x_descriptor, dw_descriptor, c, dy_descriptor), scalar(alpha, "alpha"), x, dy, algo,
                    workspace, bytes, scalar(beta, "beta"), dw);
  });
}
API cudnnFindConvolutionBackwardFilterAlgorithmEx(void* h, void* x_descriptor, const void* x, void* dy_descriptor,
                                                  const void* dy, void* c, void* dw_descriptor, void* dw, int requested,
                                                  int* returned, void* results, void* workspace, size_t bytes) {
  return guarded("cudnnFindConvolutionBackwardFilterAlgorithmEx", [&] {
    Handle& handle = ready(h);
    require(!stream_capturing(handle.stream), kExecutionFailed, "measuring is not possible while the stream captures");
    Problem p = problem_of(x_descriptor, dw_descriptor, c, dy_descriptor);
    auto* perf = static_cast<Perf*>(results);
    list_algorithms(kBackwardFilter, p, requested, returned, perf, bytes, true);
    if (perf[0].status == kOk)
      backward_filter("cudnnFindConvolutionBackwardFilterAlgorithmEx", handle, p, 1, x, dy, perf[0].algo, workspace,
                      bytes, 0, dw);
  });
}
API cudnnConvolutionBackwardBias(void* h, const void* alpha, void* dy_descriptor, const void* dy, const void* beta,
                                 void* db_descriptor, void* db) {
  return guarded("cudnnConvolutionBackwardBias", [&] {
    Handle& handle = ready(h);
    const auto t = need_set<Tensor>(dy_descriptor);
    const auto b = need_set<Tensor>(db_descriptor);
    require(b.n == 1 && b.c == t.c && b.h == 1 && b.w == 1, kShapeMismatch, "the bias gradient must be 1 x C x 1 x 1");
    require(b.type == t.type, kUnsupportedDataType, "the bias gradient must have the output gradient's data type");
    check_pointer(dy, "the output's gradient");
    check_pointer(db, "the bias gradient");
    float scale = scalar(alpha, "alpha");
    float keep = scalar(beta, "beta");
    run(handle, "cudnnConvolutionBackwardBias", [t, b, scale, keep, dy, db] {
      std::vector<float> dense = gather(t, address(dy), false, "convolution output's gradient");
      std::vector<double> sums(static_cast<size_t>(t.c), 0.0);
      for (size_t k = 0; k < dense.size(); ++k) sums[k % sums.size()] += dense[k];
      std::vector<float> result(sums.begin(), sums.end());
      scatter(b, address(db), result, scale, keep, "bias gradient");
    });
  });
}

// ---- what exists in the real library but is not simulated ----

#define NOT_SIMULATED(symbol)                                 \
  API symbol() {                                              \
    count_call(#symbol);                                      \
    return refuse(kUnsupported, #symbol " is not simulated"); \
  }
NOT_SIMULATED(cudnnCreatePoolingDescriptor)
NOT_SIMULATED(cudnnDestroyPoolingDescriptor)
NOT_SIMULATED(cudnnSetPooling2dDescriptor)
NOT_SIMULATED(cudnnSetPoolingNdDescriptor)
NOT_SIMULATED(cudnnPoolingForward)
NOT_SIMULATED(cudnnPoolingBackward)
NOT_SIMULATED(cudnnCreateOpTensorDescriptor)
NOT_SIMULATED(cudnnDestroyOpTensorDescriptor)
NOT_SIMULATED(cudnnSetOpTensorDescriptor)
NOT_SIMULATED(cudnnOpTensor)
NOT_SIMULATED(cudnnCreateReduceTensorDescriptor)
NOT_SIMULATED(cudnnDestroyReduceTensorDescriptor)
NOT_SIMULATED(cudnnSetReduceTensorDescriptor)
NOT_SIMULATED(cudnnGetReductionWorkspaceSize)
NOT_SIMULATED(cudnnGetReductionIndicesSize)
NOT_SIMULATED(cudnnReduceTensor)
NOT_SIMULATED(cudnnTransformTensor)
NOT_SIMULATED(cudnnAddTensor)
NOT_SIMULATED(cudnnSetTensor)
NOT_SIMULATED(cudnnScaleTensor)
NOT_SIMULATED(cudnnActivationForward)
NOT_SIMULATED(cudnnActivationBackward)
NOT_SIMULATED(cudnnSoftmaxForward)
NOT_SIMULATED(cudnnSoftmaxBackward)
NOT_SIMULATED(cudnnDeriveBNTensorDescriptor)
NOT_SIMULATED(cudnnBatchNormalizationForwardTraining)
NOT_SIMULATED(cudnnBatchNormalizationForwardTrainingEx)
NOT_SIMULATED(cudnnBatchNormalizationForwardInference)
NOT_SIMULATED(cudnnBatchNormalizationBackward)
NOT_SIMULATED(cudnnBatchNormalizationBackwardEx)
NOT_SIMULATED(cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize)
NOT_SIMULATED(cudnnGetBatchNormalizationBackwardExWorkspaceSize)
NOT_SIMULATED(cudnnGetBatchNormalizationTrainingExReserveSpaceSize)
NOT_SIMULATED(cudnnBackendCreateDescriptor)
NOT_SIMULATED(cudnnBackendDestroyDescriptor)
NOT_SIMULATED(cudnnBackendFinalize)
NOT_SIMULATED(cudnnBackendSetAttribute)
NOT_SIMULATED(cudnnBackendGetAttribute)
NOT_SIMULATED(cudnnBackendExecute)
NOT_SIMULATED(cudnnBackendPopulateCudaGraph)
NOT_SIMULATED(cudnnBackendUpdateCudaGraph)
