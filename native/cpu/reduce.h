// Sums with a fixed order.
#pragma once

#include <vector>

#include "common.h"

namespace stig {

// Sum of term(index), index in 0 .. count-1, in double. The terms are added in an order that depends on count alone:
// chunks of a fixed length, and within a chunk interleaved lanes, which also lets the compiler vectorise the additions.
template <typename Term>
double ordered_sum(int64_t count, Term&& term) {
  constexpr int64_t chunk = 16384;
  constexpr int64_t lanes = 16;
  const auto chunk_sum = [&](int64_t begin, int64_t end) {
    double lane[lanes] = {};
    int64_t index = begin;
    for (; index + lanes <= end; index += lanes) {
      for (int64_t l = 0; l < lanes; ++l) lane[l] += term(index + l);
    }
    for (int64_t l = 0; index < end; ++index, ++l) lane[l] += term(index);
    double sum = 0;
    for (const double value : lane) sum += value;
    return sum;
  };
  if (count <= chunk) return chunk_sum(0, count);
  std::vector<double> partial(static_cast<size_t>((count + chunk - 1) / chunk));
  parallel_for(static_cast<int64_t>(partial.size()), [&](int64_t k) {
    const int64_t begin = k * chunk;
    partial[k] = chunk_sum(begin, begin + chunk < count ? begin + chunk : count);
  });
  double sum = 0;
  for (const double value : partial) sum += value;
  return sum;
}

}  // namespace stig
