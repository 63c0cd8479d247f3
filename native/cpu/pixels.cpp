// Conversion between interleaved 8-bit pixels and planar float images.
#include <algorithm>
#include <cmath>

#include "common.h"

namespace stig {
namespace {

// body(pixels, values, column count, channels): one row of one channel, pixels channels apart.
template <typename Body>
void rows_of(const stig_tensor& pixels, const stig_tensor& values, Body&& body) {
  const int64_t h = pixels.h;
  const int64_t w = pixels.w;
  const int64_t c = pixels.c;
  parallel_for(pixels.n * h, [&](int64_t k) {
    const int64_t i = k / h;
    const int64_t y = k % h;
    uint8_t* row = image<uint8_t>(pixels, i) + y * w * c;
    for (int64_t j = 0; j < c; ++j) body(row + j, plane(values, i, j) + y * w);
  });
}

}  // namespace
}  // namespace stig

using namespace stig;

stig_status stig_unpack_pixels(const stig_tensor* src, const stig_tensor* dst) {
  STIG_GUARDED({
    check_planar(src, "src");
    check_planar_like(dst, "dst", src, "src");
    rows_of(*src, *dst, [w = src->w, c = src->c](const uint8_t* pixels, float* values) {
      for (int64_t x = 0; x < w; ++x) values[x] = static_cast<float>(pixels[x * c]) / 255.0f;
    });
  });
}

stig_status stig_pack_pixels(const stig_tensor* src, int32_t rounding, const stig_tensor* dst) {
  STIG_GUARDED({
    check_planar(src, "src");
    check_planar_like(dst, "dst", src, "src");
    require(rounding == STIG_ROUND_NEAREST || rounding == STIG_ROUND_DOWN, "rounding must be nearest or down");
    rows_of(*dst, *src, [rounding, w = src->w, c = src->c](uint8_t* pixels, const float* values) {
      for (int64_t x = 0; x < w; ++x) {
        // The first argument is what std::max keeps when the comparison fails: NaN becomes 0.
        const float scaled = 255.0f * std::min(std::max(0.0f, values[x]), 1.0f);
        const float rounded = rounding == STIG_ROUND_DOWN ? std::floor(scaled) : std::nearbyint(scaled);
        pixels[x * c] = static_cast<uint8_t>(rounded);
      }
    });
  });
}
