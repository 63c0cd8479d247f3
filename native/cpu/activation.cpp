// Activations and their gradients, which need only the result. dst may be src, and diff_src may be diff_dst.
#include <cmath>

#include "common.h"

namespace stig {
namespace {

void check_slope(int32_t kind, float slope) {
  require(kind != STIG_ACTIVATION_LEAKY_RELU || slope >= 0,
          "slope must not be negative, but is " + std::to_string(slope));
}

[[noreturn]] void unknown(int32_t kind) {
  throw Error(STIG_INVALID_ARGUMENT, "unknown kind of activation " + std::to_string(kind));
}

template <typename Function>
void forward(const stig_tensor& src, const stig_tensor& dst, Function&& function) {
  parallel_spans(src.n, image_elements(src), [&](int64_t i, int64_t begin, int64_t end) {
    const float* x = image(src, i);
    float* y = image(dst, i);
#pragma omp simd
    for (int64_t k = begin; k < end; ++k) y[k] = function(x[k]);
  });
}

// derivative(y, dy): the gradient with respect to the input of y = f(x)
template <typename Derivative>
void backward(const stig_tensor& dst, const stig_tensor& diff_dst, const stig_tensor& diff_src,
              Derivative&& derivative) {
  parallel_spans(dst.n, image_elements(dst), [&](int64_t i, int64_t begin, int64_t end) {
    const float* y = image(dst, i);
    const float* dy = image(diff_dst, i);
    float* dx = image(diff_src, i);
#pragma omp simd
    for (int64_t k = begin; k < end; ++k) dx[k] = derivative(y[k], dy[k]);
  });
}

}  // namespace
}  // namespace stig

using namespace stig;

stig_status stig_activation_forward(const stig_tensor* src, int32_t kind, float slope, const stig_tensor* dst) {
  STIG_GUARDED({
    check_same_layout(dst, "dst", src, "src");
    check_slope(kind, slope);
    switch (kind) {
      case STIG_ACTIVATION_LEAKY_RELU: forward(*src, *dst, [=](float x) { return x > 0 ? x : slope * x; }); break;
      case STIG_ACTIVATION_SIGMOID: forward(*src, *dst, [](float x) { return 1 / (1 + std::exp(-x)); }); break;
      // 2 / (1 + exp(-x)) - 1 without its cancellation near 0
      case STIG_ACTIVATION_SYMMETRIC_SIGMOID: forward(*src, *dst, [](float x) { return std::tanh(x / 2); }); break;
      // NaN stays NaN
      case STIG_ACTIVATION_UNIT_CLAMP:
        forward(*src, *dst, [](float x) { return x < 0 ? 0.0f : x > 1 ? 1.0f : x; });
        break;
      case STIG_ACTIVATION_EIGHT_BIT:
        forward(*src, *dst, [](float x) { return std::floor(255 * (x < 0 ? 0.0f : x > 1 ? 1.0f : x) + 0.5f) / 255; });
        break;
      default: unknown(kind);
    }
  });
}

stig_status stig_activation_backward(const stig_tensor* dst, const stig_tensor* diff_dst, int32_t kind, float slope,
                                     const stig_tensor* diff_src) {
  STIG_GUARDED({
    check_same_layout(diff_dst, "diff_dst", dst, "dst");
    check_same_layout(diff_src, "diff_src", dst, "dst");
    check_slope(kind, slope);
    switch (kind) {
      case STIG_ACTIVATION_LEAKY_RELU:
        backward(*dst, *diff_dst, *diff_src, [=](float y, float dy) { return y > 0 ? dy : slope * dy; });
        break;
      case STIG_ACTIVATION_SIGMOID:
        backward(*dst, *diff_dst, *diff_src, [](float y, float dy) { return dy * y * (1 - y); });
        break;
      case STIG_ACTIVATION_SYMMETRIC_SIGMOID:
        backward(*dst, *diff_dst, *diff_src, [](float y, float dy) { return dy * (1 - y) * (1 + y) / 2; });
        break;
      case STIG_ACTIVATION_UNIT_CLAMP:
      case STIG_ACTIVATION_EIGHT_BIT:
        backward(*dst, *diff_dst, *diff_src, [](float y, float dy) { return y > 0 && y < 1 ? dy : 0.0f; });
        break;
      default: unknown(kind);
    }
  });
}
