// Levels of a spectrum: its values averaged under a coarse grid over |normalised frequency|, the same for all four
// quadrants, and the spreading of such a grid over a spectrum.
#include <algorithm>
#include <cmath>
#include <vector>

#include "common.h"

namespace stig {
namespace {

// Which grid nodes a row or column of a centred spectrum belongs to: linear interpolation at |frequency|, held beyond
// the outer nodes. Node k of g stands at (k + 1/2)/g of the Nyquist frequency.
struct Axis {
  Axis(int64_t extent, int64_t nodes) : lower(extent), fraction(extent), weight(nodes) {
    for (int64_t i = 0; i < extent; ++i) {
      const double frequency = std::abs(static_cast<double>(i - extent / 2)) / (static_cast<double>(extent) / 2);
      const double position = std::min(std::max(frequency * nodes - 0.5, 0.0), static_cast<double>(nodes - 1));
      lower[i] = std::min(static_cast<int64_t>(position), std::max<int64_t>(nodes - 2, 0));
      fraction[i] = position - lower[i];
      weight[lower[i]] += 1 - fraction[i];
      if (fraction[i] > 0) weight[lower[i] + 1] += fraction[i];
    }
  }

  std::vector<int64_t> lower;
  std::vector<double> fraction;
  std::vector<double> weight;  // sum of the weights of a node
};

void check_pair(const stig_tensor* spectrum, const char* spectrum_name, const stig_tensor* levels,
                const char* levels_name) {
  check_planar(spectrum, spectrum_name);
  check_planar(levels, levels_name);
  require(levels->n == spectrum->n && levels->c == spectrum->c, std::string(levels_name) + " " + describe(*levels) +
                                                                    " does not belong to " + spectrum_name + " " +
                                                                    describe(*spectrum));
  require(levels->h <= spectrum->h / 2 && levels->w <= spectrum->w / 2, std::string(levels_name) + " " +
                                                                            describe(*levels) + " is too fine for " +
                                                                            spectrum_name + " " + describe(*spectrum));
}

}  // namespace
}  // namespace stig

using namespace stig;

stig_status stig_spectral_levels(const stig_tensor* src, const stig_tensor* dst) {
  STIG_GUARDED({
    check_pair(src, "src", dst, "dst");
    const Axis rows(src->h, dst->h);
    const Axis columns(src->w, dst->w);
    each_plane(*src, [&](int64_t i, int64_t j) {
      const float* from = plane(*src, i, j);
      float* to = plane(*dst, i, j);
      std::vector<double> sums(dst->h * dst->w);
      std::vector<double> row(dst->w + 1);
      for (int64_t y = 0; y < src->h; ++y) {
        std::fill(row.begin(), row.end(), 0.0);
        for (int64_t x = 0; x < src->w; ++x) {
          const double value = from[y * src->w + x];
          row[columns.lower[x]] += (1 - columns.fraction[x]) * value;
          row[columns.lower[x] + 1] += columns.fraction[x] * value;
        }
        const double upper = rows.fraction[y];
        for (int64_t k = 0; k < dst->w; ++k) {
          sums[rows.lower[y] * dst->w + k] += (1 - upper) * row[k];
          if (upper > 0) sums[(rows.lower[y] + 1) * dst->w + k] += upper * row[k];
        }
      }
      for (int64_t k = 0; k < dst->h * dst->w; ++k) {
        to[k] = static_cast<float>(sums[k] / (rows.weight[k / dst->w] * columns.weight[k % dst->w]));
      }
    });
  });
}

stig_status stig_spread_levels(const stig_tensor* src, float protected_radius, const stig_tensor* dst) {
  STIG_GUARDED({
    check_pair(dst, "dst", src, "src");
    require(protected_radius >= 0, "protected_radius must not be negative, but is " + std::to_string(protected_radius));
    const Axis rows(dst->h, src->h);
    const Axis columns(dst->w, src->w);
    each_plane(*dst, [&](int64_t i, int64_t j) {
      const float* from = plane(*src, i, j);
      float* to = plane(*dst, i, j);
      std::vector<float> row(src->w + 1);
      for (int64_t y = 0; y < dst->h; ++y) {
        const auto upper = static_cast<float>(rows.fraction[y]);
        const float* first = from + rows.lower[y] * src->w;
        const float* second = upper > 0 ? first + src->w : first;
        for (int64_t k = 0; k < src->w; ++k) row[k] = first[k] + upper * (second[k] - first[k]);
        row[src->w] = row[src->w - 1];
        const double dy = static_cast<double>(y - dst->h / 2);
        for (int64_t x = 0; x < dst->w; ++x) {
          const double dx = static_cast<double>(x - dst->w / 2);
          const int64_t k = columns.lower[x];
          const bool is_protected = dy * dy + dx * dx <= static_cast<double>(protected_radius) * protected_radius;
          to[y * dst->w + x] =
              is_protected ? 0 : row[k] + static_cast<float>(columns.fraction[x]) * (row[k + 1] - row[k]);
        }
      }
    });
  });
}
