// Blocks that are hard to sum: what a careless sum of squares gets wrong.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "support/numbers.hpp"
#include "support/random.hpp"

namespace gradclip::test {

template <class T>
struct Pattern {
  std::string name;
  std::vector<T> values;
};

// Patterns of n finite elements.
template <class T>
std::vector<Pattern<T>> finite_patterns(std::size_t n) {
  using M = Magnitudes<T>;
  Random random(n);
  std::vector<Pattern<T>> patterns;
  const auto add = [&](std::string name, auto element) {
    std::vector<T> values(n);
    for (std::size_t i = 0; i < n; ++i) {
      const double x = element(i);
      values[i] = from_double<T>(std::copysign(std::fmin(std::fabs(x), M::kMost), x));
    }
    patterns.push_back({std::move(name), std::move(values)});
  };
  // From 2^low for the first element to 2^high for the last.
  const auto ramp = [n](std::size_t i, int low, int high) {
    return std::exp2(low + (high - low) * static_cast<double>(i) / static_cast<double>(n));
  };
  const auto on = [](bool chosen, double x, double y) { return chosen ? x : y; };

  add("zeros", [](auto) { return 0.0; });
  add("negative zeros", [](auto) { return -0.0; });
  add("all equal", [](auto) { return 0.1; });
  add("random, one magnitude", [&](auto) { return random.real(-1, 0); });
  add("random, some magnitudes", [&](auto) { return random.real(-20, 20); });
  add("random, all magnitudes", [&](auto) { return random.real(M::kSmall - 20, M::kLarge); });
  add("one large, then tiny", [&](auto i) { return on(i == 0, 1.0, 0x1.8p-27); });
  add("tiny, then one large", [&](auto i) { return on(i + 1 == n, 1.0, 0x1.8p-27); });
  add("large in the middle", [&](auto i) { return on(i == n / 2 + 40, 0x1.1p60, 0x1.3p-40); });
  add("huge in the middle", [&](auto i) { return on(i == n / 2 + 40, M::kMost, 0.3); });
  add("zeros, then values", [&](auto i) { return on(i < n / 2, 0.0, random.real(0, 3)); });
  add("zeros, then one value", [&](auto i) { return on(i + 1 < n, 0.0, 0.3); });
  add("zeros, then one tiny", [&](auto i) { return on(i + 1 < n, 0.0, M::kSubnormal); });
  add("values in every 512th place", [&](auto i) { return on(i % 512 == 0, 0x1.7p30, 0.0); });
  add("values in the other places", [&](auto i) { return on(i % 512 == 0, 0.0, 0x1.7p30); });
  add("one lane large", [&](auto i) { return on(i % 32 == 5, 0x1.7p20, 0x1.9p-20); });
  add("ascending", [&](auto i) { return ramp(i, M::kSmall, M::kLarge); });
  add("descending", [&](auto i) { return ramp(i, M::kLarge, M::kSmall); });
  add("slowly ascending", [&](auto i) { return ramp(i, -15, 15); });
  add("slowly descending", [&](auto i) { return ramp(i, 15, -15); });
  add("huge", [&](auto) { return random.real(M::kLarge, M::kLarge + 1); });
  add("largest", [](auto) { return M::kMost; });
  add("tiny", [&](auto) { return random.real(M::kSmall, M::kSmall + 1); });
  add("subnormal", [](auto i) { return static_cast<double>(1 + i % 7) * M::kSubnormal; });
  add("largest and smallest", [&](auto i) { return on(i % 2 == 0, M::kMost, M::kSubnormal); });
  // Around the magnitudes at which float64 sums change their scale, and squares underflow.
  for (const double edge : {-530.0, -520.0, -482.0, -450.0, -440.0, -436.0, 478.0, 480.0, 482.0}) {
    if (sizeof(T) < 8) break;
    add("around 2^" + std::to_string(edge), [&](auto) { return random.real(0, 2) * exp2(edge); });
  }
  return patterns;
}

}  // namespace gradclip::test
