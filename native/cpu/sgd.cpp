// One step of stochastic gradient descent with momentum, in place.
#include "common.h"

using namespace stig;

stig_status stig_sgd(const stig_tensor* weights, const stig_tensor* gradient, const stig_tensor* velocity,
                     const stig_tensor* learning_rate, float momentum) {
  STIG_GUARDED({
    check_same_layout(gradient, "gradient", weights, "weights");
    check_same_layout(velocity, "velocity", weights, "weights");
    check_extents(learning_rate, "learning_rate", 1, 1, 1, 1);
    require(momentum >= 0 && momentum < 1, "momentum must be from 0 to below 1, but is " + std::to_string(momentum));
    const float rate = *image(*learning_rate, 0);
    parallel_spans(weights->n, image_elements(*weights), [&](int64_t i, int64_t begin, int64_t end) {
      const float* g = image(*gradient, i);
      float* v = image(*velocity, i);
      float* w = image(*weights, i);
      for (int64_t k = begin; k < end; ++k) {
        v[k] = momentum * v[k] + g[k];
        w[k] -= rate * v[k];
      }
    });
  });
}
