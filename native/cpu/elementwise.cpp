// Element by element operations. dst may be src: every element is read before it is written.
#include <algorithm>

#include "common.h"

// `omp simd` tells the compiler that elements are independent although dst may be src.
namespace stig {
namespace {

// dst = operation(src)
template <typename Operation>
void map(const stig_tensor* src, const stig_tensor* dst, Operation&& operation) {
  check_same_layout(dst, "dst", src, "src");
  parallel_spans(src->n, image_elements(*src), [&](int64_t i, int64_t begin, int64_t end) {
    const float* x = image(*src, i);
    float* y = image(*dst, i);
#pragma omp simd
    for (int64_t k = begin; k < end; ++k) y[k] = operation(x[k]);
  });
}

// dst = operation(a, b); a b of one image serves every image of a.
template <typename Operation>
void combine(const stig_tensor* a, const stig_tensor* b, const stig_tensor* dst, Operation&& operation) {
  check_same_layout(dst, "dst", a, "a");
  check(b, "b");
  require((b->n == a->n || b->n == 1) && b->c == a->c && b->h == a->h && b->w == a->w && b->block == a->block,
          "b " + describe(*b) + " does not match a " + describe(*a));
  parallel_spans(a->n, image_elements(*a), [&](int64_t i, int64_t begin, int64_t end) {
    const float* x = image(*a, i);
    const float* z = image(*b, b->n == 1 ? 0 : i);
    float* y = image(*dst, i);
#pragma omp simd
    for (int64_t k = begin; k < end; ++k) y[k] = operation(x[k], z[k]);
  });
}

// dst[i] = factors[i] * src[i]
void scale(const stig_tensor& src, const stig_tensor& factors, const stig_tensor& dst) {
  parallel_spans(src.n, image_elements(src), [&](int64_t i, int64_t begin, int64_t end) {
    const float factor = *image(factors, i);
    const float* x = image(src, i);
    float* y = image(dst, i);
#pragma omp simd
    for (int64_t k = begin; k < end; ++k) y[k] = factor * x[k];
  });
}

// Between planar and channel-blocked: 16 planes against runs of 16 channels of type T.
template <bool to_blocked, typename T>
void rearrange(const stig_tensor& planar, const stig_tensor& blocked) {
  constexpr int64_t tile = 1024;  // pixels
  const int64_t pixels = planar.h * planar.w;
  const int64_t groups = planar.c / 16;
  const int64_t tiles = (pixels + tile - 1) / tile;
  parallel_for(planar.n * groups * tiles, [&](int64_t index) {
    const int64_t group = index / tiles % groups;
    float* channels = plane(planar, index / tiles / groups, group * 16);
    T* lanes = image<T>(blocked, index / tiles / groups) + group * pixels * 16;
    const int64_t begin = index % tiles * tile;
    const int64_t end = std::min(begin + tile, pixels);
    for (int64_t p = begin; p < end; ++p) {
      for (int64_t l = 0; l < 16; ++l) {
        if (to_blocked) {
          lanes[p * 16 + l] = rounded<T>(channels[l * pixels + p]);
        } else {
          channels[l * pixels + p] = load(lanes[p * 16 + l]);
        }
      }
    }
  });
}

// Element by element, of the same layout.
template <typename From, typename To>
void convert(const stig_tensor& src, const stig_tensor& dst) {
  parallel_spans(src.n, image_elements(src), [&](int64_t i, int64_t begin, int64_t end) {
    const From* x = image<From>(src, i);
    To* y = image<To>(dst, i);
#pragma omp simd
    for (int64_t k = begin; k < end; ++k) y[k] = rounded<To>(load(x[k]));
  });
}

int64_t wrapped(int64_t index, int64_t extent) { return (index % extent + extent) % extent; }

}  // namespace
}  // namespace stig

using namespace stig;

stig_status stig_fill(const stig_tensor* dst, float value) {
  STIG_GUARDED({
    check(dst, "dst");
    parallel_spans(dst->n, image_elements(*dst), [&](int64_t i, int64_t begin, int64_t end) {
      std::fill(image(*dst, i) + begin, image(*dst, i) + end, value);
    });
  });
}

stig_status stig_copy(const stig_tensor* src, const stig_tensor* dst) {
  STIG_GUARDED({
    check_map(src, "src");
    check_map(dst, "dst");
    check_same_extents(dst, "dst", src, "src");
    with_type(*src, [&](auto from) {
      with_type(*dst, [&](auto to) {
        using From = decltype(from);
        using To = decltype(to);
        if (src->block == dst->block) {
          convert<From, To>(*src, *dst);
          return;
        }
        require(src->data != dst->data, "a copy in place cannot change the layout");
        if (dst->block == 16) {
          rearrange<true, To>(*src, *dst);
        } else {
          rearrange<false, From>(*dst, *src);
        }
      });
    });
  });
}

stig_status stig_affine(const stig_tensor* src, float scale, float offset, const stig_tensor* dst) {
  STIG_GUARDED(map(src, dst, [=](float x) { return scale * x + offset; }););
}

stig_status stig_add(const stig_tensor* a, const stig_tensor* b, const stig_tensor* dst) {
  STIG_GUARDED(combine(a, b, dst, [](float x, float z) { return x + z; }););
}

stig_status stig_multiply(const stig_tensor* a, const stig_tensor* b, const stig_tensor* dst) {
  STIG_GUARDED(combine(a, b, dst, [](float x, float z) { return x * z; }););
}

stig_status stig_scale_images(const stig_tensor* src, const stig_tensor* factors, const stig_tensor* dst) {
  STIG_GUARDED({
    check_planar(src, "src");
    check_extents(factors, "factors", src->n, 1, 1, 1);
    check_same_layout(dst, "dst", src, "src");
    scale(*src, *factors, *dst);
  });
}

stig_status stig_sum_batch(const stig_tensor* src, const stig_tensor* dst) {
  STIG_GUARDED({
    check(src, "src");
    check_extents(dst, "dst", 1, src->c, src->h, src->w);
    require(src->block == dst->block, "dst " + describe(*dst) + " is laid out unlike src " + describe(*src));
    parallel_chunks(image_elements(*src), [&](int64_t begin, int64_t end) {
      float* y = image(*dst, 0);
      const float* first = image(*src, 0);
      for (int64_t k = begin; k < end; ++k) y[k] = first[k];
      for (int64_t i = 1; i < src->n; ++i) {
        const float* x = image(*src, i);
        for (int64_t k = begin; k < end; ++k) y[k] += x[k];
      }
    });
  });
}

stig_status stig_roll(const stig_tensor* src, int64_t shift_n, int64_t shift_c, const stig_tensor* dst) {
  STIG_GUARDED({
    check_planar(src, "src");
    check_planar_like(dst, "dst", src, "src");
    require(src->data != dst->data, "a roll cannot be done in place");
    each_plane(*src, [&](int64_t i, int64_t j) {
      const float* x = plane(*src, wrapped(i - shift_n, src->n), wrapped(j - shift_c, src->c));
      std::copy(x, x + src->h * src->w, plane(*dst, i, j));
    });
  });
}
