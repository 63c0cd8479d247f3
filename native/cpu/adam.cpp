// One step of Adam (Kingma and Ba 2015, algorithm 1), in place.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "common.h"

namespace stig {
namespace {

struct Step {
  float beta1, rest1 /* 1 - beta1 */, beta2, rest2;
  float rate /* of learning, over first bias */, inverse_root /* of second bias */, eps;
};

// The bits without the sign: ordered like magnitudes, with infinity and what is not a number above all others.
uint32_t magnitude(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits & 0x7fffffffu;
}

bool finite(uint32_t magnitude) { return magnitude < 0x7f800000u; }

// The largest magnitude among second moments and weights. Whatever is wrong with a gradient is wrong with its second
// moment, so the check costs no pass of its own.
struct Peak {
  uint32_t moment = 0, weight = 0;
};

Peak update(const Step& s, int64_t count, const float* __restrict g, float* __restrict m, float* __restrict v,
            float* __restrict w) {
  Peak peak;
  for (int64_t k = 0; k < count; ++k) {
    m[k] = s.beta1 * m[k] + s.rest1 * g[k];
    v[k] = s.beta2 * v[k] + s.rest2 * g[k] * g[k];
    w[k] -= s.rate * m[k] / (std::sqrt(v[k]) * s.inverse_root + s.eps);
    peak.moment = std::max(peak.moment, magnitude(v[k]));
    peak.weight = std::max(peak.weight, magnitude(w[k]));
  }
  return peak;
}

}  // namespace
}  // namespace stig

using namespace stig;

stig_status stig_adam(const stig_tensor* weights, const stig_tensor* gradient, const stig_tensor* first_moment,
                      const stig_tensor* second_moment, const stig_tensor* learning_rate, const stig_tensor* step,
                      double beta1, double beta2, double eps) {
  STIG_GUARDED({
    check_same_layout(gradient, "gradient", weights, "weights");
    check_same_layout(first_moment, "first_moment", weights, "weights");
    check_same_layout(second_moment, "second_moment", weights, "weights");
    check_extents(learning_rate, "learning_rate", 1, 1, 1, 1);
    check_extents(step, "step", 1, 1, 1, 1);
    require(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1, "beta1 and beta2 must be from 0 to below 1");
    require(eps > 0, "eps must be positive, but is " + std::to_string(eps));
    const double t = *image(*step, 0);
    require(t >= 1, "step must be at least 1, but is " + std::to_string(t));
    const double bias1 = 1 - std::pow(beta1, t);
    const double bias2 = 1 - std::pow(beta2, t);
    const Step values{static_cast<float>(beta1),
                      static_cast<float>(1 - beta1),
                      static_cast<float>(beta2),
                      static_cast<float>(1 - beta2),
                      static_cast<float>(*image(*learning_rate, 0) / bias1),
                      static_cast<float>(1 / std::sqrt(bias2)),
                      static_cast<float>(eps)};
    std::atomic<bool> good_gradient{true}, good_weights{true};
    parallel_spans(weights->n, image_elements(*weights), [&](int64_t i, int64_t begin, int64_t end) {
      const Peak peak = update(values, end - begin, image(*gradient, i) + begin, image(*first_moment, i) + begin,
                               image(*second_moment, i) + begin, image(*weights, i) + begin);
      if (!finite(peak.moment)) good_gradient = false;
      if (!finite(peak.weight)) good_weights = false;
    });
    if (!good_gradient) throw Error(STIG_NOT_FINITE, "the gradient is not finite, or its square is not");
    if (!good_weights) throw Error(STIG_NOT_FINITE, "the updated weights are not finite");
  });
}
