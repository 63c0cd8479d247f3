// Every operation of the native core on memory of exactly its size, for the sanitizers: an access outside, an
// uninitialised result, a leak or a race shows. What the operations compute is proven elsewhere (src/Stig.SelfTest);
// here every result has to be finite, and the same with one thread as with several.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "stig.h"

namespace {

int failures = 0;

void expect(bool condition, const std::string& what) {
  if (condition) return;
  ++failures;
  std::printf("FAILED %s: %s\n", what.c_str(), stig_last_error());
}

void ok(stig_status status, const char* call) { expect(status == STIG_OK, call); }
#define OK(call) ok(call, #call)

// A tensor in memory of exactly the size that its descriptor describes: images may lie apart, and nothing follows the
// last one.
class Tensor {
 public:
  Tensor(int64_t n, int64_t c, int64_t h, int64_t w, int64_t block = 1, int64_t type = STIG_F32, size_t element = 4,
         int64_t gap = 0) {
    const int64_t image = c * h * w;
    if (type == STIG_BF16) element = 2;
    bytes_ = static_cast<size_t>((n - 1) * (image + gap) + image) * element;
    data_.reset(static_cast<char*>(std::aligned_alloc(64, (bytes_ + 63) / 64 * 64)));
    // aligned_alloc wants whole lines: the slack is at the front, so that the end is exact.
    slack_ = (bytes_ + 63) / 64 * 64 - bytes_;
    t_ = {data_.get() + (slack_ % 4 == 0 ? slack_ : 0), n, c, h, w, image + gap, block, type};
    std::memset(t_.data, 0, bytes_);
  }

  // Reproducible numbers in [low, high).
  Tensor& fill(float low = -1, float high = 1, uint32_t seed = 1) {
    uint32_t state = seed * 2654435761u + 12345u;
    const auto next = [&] {
      state = state * 1664525u + 1013904223u;
      return low + (high - low) * static_cast<float>(state >> 8) / 16777216.0f;
    };
    if (t_.type == STIG_BF16) {
      for (size_t i = 0; i < bytes_ / 2; ++i) {
        const float value = next();
        uint32_t bits;
        std::memcpy(&bits, &value, 4);
        static_cast<uint16_t*>(t_.data)[i] = static_cast<uint16_t>(bits >> 16);
      }
    } else {
      for (size_t i = 0; i < bytes_ / 4; ++i) floats()[i] = next();
    }
    return *this;
  }

  float* floats() { return static_cast<float*>(t_.data); }
  int32_t* integers() { return static_cast<int32_t*>(t_.data); }
  const stig_tensor* operator&() { return &t_; }
  const stig_tensor& get() const { return t_; }
  size_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  std::unique_ptr<char, Free> data_;
  size_t bytes_ = 0, slack_ = 0;
  stig_tensor t_{};
};

// What a test gave, to be compared between numbers of threads.
using Results = std::vector<unsigned char>;

void keep(Results& results, Tensor& t, const char* what) {
  const auto* first = static_cast<const unsigned char*>(t.get().data);
  if (t.get().type == STIG_F32) {
    for (size_t i = 0; i < t.bytes() / 4; ++i) {
      if (!std::isfinite(t.floats()[i])) {
        expect(false, std::string(what) + " is not finite");
        break;
      }
    }
  }
  results.insert(results.end(), first, first + t.bytes());
}
#define KEEP(t) keep(results, t, #t)

struct Shape {
  int64_t n, c, h, w, block, gap;
};
// Odd tails, channel blocks, images that lie apart, more than one chunk of the parallel loops.
const Shape shapes[] = {{1, 1, 1, 1, 1, 0},   {1, 3, 5, 7, 1, 0},      {2, 3, 34, 46, 1, 11},
                        {1, 16, 2, 2, 16, 0}, {2, 48, 6, 10, 16, 320}, {2, 32, 64, 66, 16, 0}};

void elementwise(Results& results) {
  for (const Shape& s : shapes) {
    Tensor a(s.n, s.c, s.h, s.w, s.block, STIG_F32, 4, s.gap), b(s.n, s.c, s.h, s.w, s.block),
        one(1, s.c, s.h, s.w, s.block), y(s.n, s.c, s.h, s.w, s.block), sum(1, s.c, s.h, s.w, s.block);
    a.fill();
    b.fill(-1, 1, 2);
    one.fill(-1, 1, 3);
    OK(stig_fill(&y, 2));
    OK(stig_affine(&a, 2, 1, &y));
    KEEP(y);
    OK(stig_add(&a, &b, &y));
    OK(stig_add(&y, &one, &y));
    OK(stig_multiply(&y, &b, &y));
    KEEP(y);
    OK(stig_sum_batch(&a, &sum));
    KEEP(sum);
    OK(stig_copy(&a, &y));
    KEEP(y);
    if (s.block == 16) {
      Tensor planar(s.n, s.c, s.h, s.w), half(s.n, s.c, s.h, s.w, 16, STIG_BF16), back(s.n, s.c, s.h, s.w, 16);
      OK(stig_copy(&a, &planar));
      OK(stig_copy(&planar, &half));
      OK(stig_copy(&half, &back));
      KEEP(back);
      OK(stig_copy(&half, &planar));
      KEEP(planar);
    } else {
      OK(stig_roll(&a, 1, s.c / 2, &y));
      KEEP(y);
    }
    for (int32_t kind = STIG_ACTIVATION_LEAKY_RELU; kind <= STIG_ACTIVATION_UNIT_CLAMP; ++kind) {
      Tensor dx(s.n, s.c, s.h, s.w, s.block);
      OK(stig_activation_forward(&a, kind, 0.2f, &y));
      OK(stig_activation_backward(&y, &b, kind, 0.2f, &dx));
      KEEP(dx);
    }
  }
}

void normalization(Results& results) {
  for (const Shape& s : shapes) {
    if (s.n * s.h * s.w < 2) continue;
    for (int32_t statistics : {STIG_STATISTICS_BATCH, STIG_STATISTICS_PER_IMAGE}) {
      const int64_t rows = statistics == STIG_STATISTICS_BATCH ? 1 : s.n;
      Tensor x(s.n, s.c, s.h, s.w, s.block, STIG_F32, 4, s.gap), y(s.n, s.c, s.h, s.w, s.block),
          dy(s.n, s.c, s.h, s.w, s.block), dx(s.n, s.c, s.h, s.w, s.block), g(1, s.c, 1, 1), b(1, s.c, 1, 1),
          m(rows, s.c, 1, 1), v(rows, s.c, 1, 1), dg(1, s.c, 1, 1), db(1, s.c, 1, 1), rm(1, s.c, 1, 1),
          rv(1, s.c, 1, 1);
      x.fill();
      dy.fill(-1, 1, 2);
      g.fill(0.5f, 1.5f, 3);
      b.fill(-1, 1, 4);
      OK(stig_normalization_forward(&x, &g, &b, statistics, 1e-5f, 0, &y, &m, &v));
      KEEP(y);
      OK(stig_normalization_backward(&x, &y, &dy, &g, &m, &v, statistics, 1e-5f, 0, &dx, &dg, &db));
      KEEP(dx);
      KEEP(dg);
      OK(stig_normalization_running(&x, &g, &b, &m, &v, 1e-5f, 0, &y));
      KEEP(y);
      OK(stig_running_statistics(&m, &v, s.n * s.h * s.w, 0.1f, &rm, &rv, &rm, &rv));
      KEEP(rv);
      if (s.block == 16) {
        Tensor half(s.n, s.c, s.h, s.w, 16, STIG_BF16, 2, s.gap);
        half.fill();
        OK(stig_normalization_forward(&half, &g, &b, statistics, 1e-5f, 0, &half, &m, &v));
        KEEP(half);
      }
    }
  }
}

void resample(Results& results) {
  for (const Shape& s : shapes) {
    Tensor small(s.n, s.c, s.h, s.w, s.block, STIG_F32, 4, s.gap), large(s.n, s.c, 2 * s.h, 2 * s.w, s.block),
        dlarge(s.n, s.c, 2 * s.h, 2 * s.w, s.block), dsmall(s.n, s.c, s.h, s.w, s.block);
    small.fill();
    OK(stig_bicubic_up2_forward(&small, &large));
    KEEP(large);
    OK(stig_bicubic_up2_backward(&large, &dsmall));
    KEEP(dsmall);
    OK(stig_max_pool_forward(&large, &dsmall));
    OK(stig_max_pool_backward(&large, &small, &dlarge));
    KEEP(dlarge);
    OK(stig_average_pool_forward(&large, &dsmall));
    OK(stig_average_pool_backward(&small, &dlarge));
    KEEP(dlarge);
    if (s.block == 16) {
      Tensor half(s.n, s.c, s.h, s.w, 16, STIG_BF16, 2, s.gap), wide(s.n, s.c, 2 * s.h, 2 * s.w, 16, STIG_BF16);
      half.fill();
      OK(stig_bicubic_up2_forward(&half, &wide));
      KEEP(wide);
      OK(stig_max_pool_forward(&wide, &half));
      KEEP(half);
    }
  }
}

void convolution(Results& results) {
  struct Case {
    int64_t n, ic, oc, h, w, k, stride, padding, src_block, dst_block;
    int32_t winograd, bf16;
  };
  const Case cases[] = {{2, 3, 5, 9, 11, 3, 1, 1, 1, 1, 0, 0},         {1, 3, 16, 8, 6, 3, 2, 1, 1, 16, 0, 0},
                        {2, 16, 32, 9, 7, 3, 1, 1, 16, 16, 0, 0},      {2, 32, 16, 12, 20, 3, 1, 1, 16, 16, 1, 0},
                        {1, 192, 64, 160, 256, 3, 1, 1, 16, 16, 1, 0}, {1, 128, 128, 128, 128, 3, 1, 1, 16, 16, 1, 0},
                        {1, 512, 256, 64, 64, 3, 1, 1, 16, 16, 1, 0},  {2, 16, 3, 5, 7, 1, 1, 0, 16, 1, 0, 0},
                        {2, 32, 16, 12, 20, 3, 1, 1, 16, 16, 0, 1},    {1, 3, 16, 9, 11, 3, 1, 1, 1, 16, 0, 1}};
  for (const Case& c : cases) {
    const int64_t oh = (c.h + 2 * c.padding - c.k) / c.stride + 1, ow = (c.w + 2 * c.padding - c.k) / c.stride + 1;
    const auto type = [&](int64_t block) { return c.bf16 && block == 16 ? STIG_BF16 : STIG_F32; };
    stig_conv2d_desc desc{c.ic,
                          c.h,
                          c.w,
                          c.oc,
                          oh,
                          ow,
                          c.k,
                          c.k,
                          c.stride,
                          c.padding,
                          c.src_block,
                          c.dst_block,
                          1,
                          c.winograd,
                          c.bf16,
                          type(c.src_block),
                          type(c.dst_block)};
    Tensor x(c.n, c.ic, c.h, c.w, c.src_block, type(c.src_block)), y(c.n, c.oc, oh, ow, c.dst_block, type(c.dst_block)),
        w(c.oc, c.ic, c.k, c.k), b(1, c.oc, 1, 1), dw(c.oc, c.ic, c.k, c.k), db(1, c.oc, 1, 1);
    x.fill();
    w.fill(-0.1f, 0.1f, 2);
    b.fill(-1, 1, 3);
    for (int32_t direction = STIG_CONV2D_FORWARD;
         direction <= (c.bf16 ? STIG_CONV2D_FORWARD : STIG_CONV2D_BACKWARD_WEIGHTS); ++direction) {
      stig_conv2d* conv = nullptr;
      desc.with_bias = direction != STIG_CONV2D_BACKWARD_DATA;
      const stig_status status = stig_conv2d_create(&desc, direction, &conv);
      if (status == STIG_UNSUPPORTED && c.bf16) continue;  // a processor without bfloat16
      OK(status);
      int64_t packed_bytes = 0, scratch_bytes = 0;
      OK(stig_conv2d_sizes(conv, &packed_bytes, &scratch_bytes));
      Tensor packed(1, packed_bytes + 1, 1, 1, 1, STIG_F32, 1),
          scratch(1, scratch_bytes / 64 * 64 + 64, 1, 1, 1, STIG_F32, 1);
      if (direction != STIG_CONV2D_BACKWARD_WEIGHTS) {
        // Packed weights start at a cache line, as the caller's buffers do.
        void* at = std::aligned_alloc(64, static_cast<size_t>((packed_bytes + 63) / 64 * 64));
        OK(stig_conv2d_pack_weights(conv, w.floats(), at, scratch.get().data));
        if (direction == STIG_CONV2D_FORWARD) {
          OK(stig_conv2d_forward(conv, &x, at, b.floats(), &y, scratch.get().data));
          KEEP(y);
        } else {
          OK(stig_conv2d_backward_data(conv, &y, at, &x, scratch.get().data));
          KEEP(x);
        }
        std::free(at);
      } else {
        // oneDNN splits the sum over pixels among the threads: not the same bits for another number of them.
        OK(stig_conv2d_backward_weights(conv, &x, &y, dw.floats(), db.floats(), scratch.get().data));
      }
      stig_conv2d_destroy(conv);
    }
  }
}

void linear(Results& results) {
  for (const auto& [rows, in, out] : {std::array<int64_t, 3>{1, 1, 1}, {3, 23, 17}, {67, 33, 47}}) {
    Tensor x(rows, in, 1, 1), w(out, in, 1, 1), b(1, out, 1, 1), y(rows, out, 1, 1), dx(rows, in, 1, 1),
        dw(out, in, 1, 1), db(1, out, 1, 1);
    x.fill();
    w.fill(-1, 1, 2);
    OK(stig_linear_forward(&x, &w, &b, &y));
    KEEP(y);
    OK(stig_linear_backward_data(&y, &w, &dx));
    KEEP(dx);
    OK(stig_linear_backward_weights(&x, &y, &dw, &db));
    KEEP(dw);
  }
}

void spectrum(Results& results) {
  for (const auto& [n, c, h, w] : {std::array<int64_t, 4>{1, 1, 1, 1}, {2, 3, 6, 10}, {1, 3, 9, 7}, {1, 3, 64, 48}}) {
    Tensor x(n, c, h, w), m(n, c, h, w), p(n, c, h, w, 1, STIG_F32, 8), z(n, c, h, w, 1, STIG_F32, 8), y(n, c, h, w),
        d(n, c, h, w);
    x.fill(0, 1);
    OK(stig_log_spectrum_forward(&x, &m, &p));
    KEEP(m);
    OK(stig_log_spectrum_backward(&m, &p, &x, &d));
    KEEP(d);
    for (int32_t component : {STIG_IMAGE_MODULUS, STIG_IMAGE_REAL}) {
      for (int32_t shift : {STIG_SHIFT, STIG_INVERSE_SHIFT}) {
        OK(stig_inverse_spectrum_forward(&m, &p, component, shift, &y, &z));
        KEEP(y);
        OK(stig_inverse_spectrum_backward(&m, &p, &z, &x, component, shift, &d));
        KEEP(d);
      }
    }
    for (int32_t per_image : {0, 1}) {
      const int64_t rows = per_image ? n : 1;
      Tensor lo(1, rows, 1, 1), hi(1, rows, 1, 1);
      OK(stig_range_normalize_forward(&x, per_image, 2, -1, &y, &lo, &hi));
      OK(stig_range_normalize_backward(&x, &lo, &hi, &m, per_image, 2, &d));
      KEEP(d);
      OK(stig_range_denormalize_forward(&y, &lo, &hi, 2, -1, &d));
      OK(stig_range_denormalize_backward(&x, &lo, &hi, 2, &d));
      KEEP(d);
    }
    for (int32_t kind : {STIG_RINGS_RECT, STIG_RINGS_RADIAL}) {
      const std::vector<float> weights(static_cast<size_t>(c), 0.5f);
      Tensor rings(n, stig_ring_count(h, w, kind), 1, 1);
      OK(stig_ring_profile_forward(&m, weights.data(), kind, &rings));
      KEEP(rings);
      OK(stig_ring_profile_backward(&rings, weights.data(), kind, &d));
      KEEP(d);
    }
  }
}

void losses(Results& results) {
  Tensor a(2, 3, 36, 41), b(2, 3, 36, 41), d(2, 3, 36, 41), loss(1, 1, 1, 1), one(1, 1, 1, 1);
  a.fill(0, 1);
  b.fill(0, 1, 2);
  one.floats()[0] = 1;
  OK(stig_mse_forward(&a, 0.5f, &loss));
  KEEP(loss);
  OK(stig_mse_backward(&a, 0.5f, &one, &d));
  KEEP(d);
  OK(stig_low_frequency_forward(&a, &b, 8, &loss));
  KEEP(loss);
  OK(stig_low_frequency_backward(&a, &b, &loss, &one, 8, &d));
  KEEP(d);
  const int64_t bytes = stig_ssim_work_bytes(2, 3, 36, 41);
  const std::unique_ptr<double[]> work(new double[static_cast<size_t>((bytes + 7) / 8)]);
  OK(stig_ssim_forward(&a, &b, &loss, work.get()));
  KEEP(loss);
  OK(stig_ssim_backward(&a, &b, &one, &d, work.get()));
  KEEP(d);
  Tensor logits(5, 7, 1, 1), labels(1, 5, 1, 1), dlogits(5, 7, 1, 1);
  logits.fill();
  for (int i = 0; i < 5; ++i) labels.integers()[i] = i;
  OK(stig_cross_entropy_forward(&logits, &labels, &loss));
  KEEP(loss);
  OK(stig_cross_entropy_backward(&logits, &labels, &one, &dlogits));
  KEEP(dlogits);
}

void patches(Results& results) {
  for (const Shape& s : shapes) {
    const int64_t extent = s.h * s.w, count = std::min<int64_t>(extent, 33), rows = s.n * count;
    Tensor random(1, 4, 1, 1), positions(1, count, 1, 1), x(s.n, s.c, s.h, s.w, s.block),
        dx(s.n, s.c, s.h, s.w, s.block), q(rows, s.c, 1, 1), k(rows, s.c, 1, 1), dq(rows, s.c, 1, 1), loss(1, 1, 1, 1),
        one(1, 1, 1, 1), p(rows, count, 1, 1);
    random.integers()[0] = 7;
    x.fill();
    one.floats()[0] = 1;
    OK(stig_sample_positions(&random, 3, extent, &positions));
    OK(stig_gather_positions_forward(&x, &positions, &q));
    KEEP(q);
    OK(stig_gather_positions_backward(&q, &positions, &dx));
    KEEP(dx);
    k.fill(-1, 1, 5);
    OK(stig_l2_normalize_forward(&q, 1e-7f, &dq));
    OK(stig_l2_normalize_backward(&q, &k, 1e-7f, &dq));
    KEEP(dq);
    OK(stig_patch_nce_forward(&q, &k, s.n, 0.07f, &loss, &p));
    KEEP(loss);
    OK(stig_patch_nce_backward(&k, &p, &one, s.n, 0.07f, &dq));
    KEEP(dq);
  }
}

void optimizers(Results& results) {
  Tensor w(3, 5, 7, 163), g(3, 5, 7, 163), m(3, 5, 7, 163), v(3, 5, 7, 163), rate(1, 1, 1, 1), step(1, 1, 1, 1);
  w.fill();
  g.fill(-1, 1, 2);
  rate.floats()[0] = 1e-3f;
  step.floats()[0] = 1;
  OK(stig_adam(&w, &g, &m, &v, &rate, &step, 0.5, 0.999, 1e-8));
  OK(stig_sgd(&w, &g, &m, &rate, 0.9f));
  KEEP(w);
  Tensor bytes(2, 3, 5, 7, 1, STIG_F32, 1), image(2, 3, 5, 7);
  OK(stig_unpack_pixels(&bytes, &image));
  image.fill(-0.1f, 1.1f);
  OK(stig_pack_pixels(&image, STIG_ROUND_NEAREST, &bytes));
  OK(stig_unpack_pixels(&bytes, &image));
  KEEP(image);
}

// A zlib stream of one stored block, and the same with one bit changed or cut short.
void inflate(Results& results) {
  const std::array<uint8_t, 16> stream = {0x78, 0x01, 0x01, 5, 0, 0xFA, 0xFF, 's', 't', 'i', 'g', '!', 0x06, 0x3E, 0x01, 0xD9};
  const auto size = static_cast<int64_t>(stream.size());
  Tensor text(1, 1, 1, 5, 1, STIG_F32, 1);
  void* dst = text.get().data;
  OK(stig_inflate(stream.data(), size, dst, 5));
  expect(std::memcmp(dst, "stig!", 5) == 0, "a stored block is copied");
  results.insert(results.end(), static_cast<char*>(dst), static_cast<char*>(dst) + 5);
  expect(stig_inflate(stream.data(), size, dst, 4) == STIG_INVALID_ARGUMENT, "a stream that is too long is refused");
  for (int64_t cut = 1; cut < size; ++cut) {
    const std::vector<uint8_t> part(stream.begin(), stream.begin() + cut);
    expect(stig_inflate(part.data(), cut, dst, 5) == STIG_INVALID_ARGUMENT, "a stream cut short is refused");
  }
  for (size_t i = 0; i < stream.size() * 8; ++i) {
    // The five bits that fill up the byte of the block's head mean nothing.
    if (i / 8 == 2 && i % 8 >= 3) continue;
    std::array<uint8_t, 16> changed = stream;
    changed[i / 8] = static_cast<uint8_t>(changed[i / 8] ^ (1u << i % 8));
    expect(stig_inflate(changed.data(), size, dst, 5) == STIG_INVALID_ARGUMENT, "a changed stream is refused, bit " + std::to_string(i));
  }
}

// What is wrong is refused with a sentence, and nothing is touched.
void refusals(Results&) {
  Tensor a(1, 3, 4, 4), b(1, 3, 4, 5), half(1, 16, 2, 2, 16, STIG_BF16);
  stig_tensor empty = a.get();
  empty.c = 0;
  expect(stig_add(&a, &b, &a) == STIG_INVALID_ARGUMENT, "extents that differ are refused");
  expect(stig_fill(&empty, 1) == STIG_INVALID_ARGUMENT, "an empty extent is refused");
  expect(stig_affine(&half, 1, 0, &half) == STIG_INVALID_ARGUMENT, "bfloat16 is refused where it is not known");
  expect(stig_set_threads(0) == STIG_INVALID_ARGUMENT, "no threads are refused");
  expect(std::strlen(stig_last_error()) > 0, "a refusal has a sentence");
}

}  // namespace

// usage: core_test [--without NAME]
int main(int argc, char** argv) {
  const std::string without = argc == 3 && std::strcmp(argv[1], "--without") == 0 ? argv[2] : "";
  const std::pair<const char*, void (*)(Results&)> tests[] = {
      {"elementwise", elementwise}, {"normalization", normalization},
      {"resample", resample},       {"convolution", convolution},
      {"linear", linear},           {"spectrum", spectrum},
      {"losses", losses},           {"patches", patches},
      {"optimizers", optimizers},   {"inflate", inflate},
      {"refusals", refusals}};
  for (const auto& [name, test] : tests) {
    if (name == without) continue;
    Results one, several;
    stig_set_threads(1);
    test(one);
    stig_set_threads(3);
    test(several);
    expect(one == several, std::string(name) + ": three threads give other bits than one");
    std::printf("%s: %zu bytes of results\n", name, one.size());
  }
  std::printf(failures == 0 ? "all operations passed\n" : "%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
