// Merging sums of squares, and their roots.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/partial.hpp"
#include "exact.hpp"
#include "memory.hpp"
#include "random.hpp"

namespace gradclip::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kMost = std::numeric_limits<double>::max();

// As blocks give them: unscaled sums where squares are in range, scaled ones elsewhere.
Partial random_partial(Random& random, int scale) {
  const double hi = scale == 0   ? random.positive(-860, 970)
                    : scale == 1 ? random.positive(-940, 330)
                                 : random.positive(-240, 845);
  return {hi, hi * random.real(-60, -54), scale};
}

Exact exact_sum(const std::vector<Partial>& parts) {
  Exact sum = 0;
  for (const Partial& part : parts) sum += value(part);
  return sum;
}

bool is_same(const Partial& a, const Partial& b) {
  return bits(a.hi) == bits(b.hi) && bits(a.lo) == bits(b.lo) && a.scale == b.scale;
}

TEST_CASE("a few sums of one magnitude merge to 2^-100") {
  Random random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Partial> parts;
    for (int i = random.between(1, 8); i > 0; --i) {
      const double hi = random.positive(0, 20);
      parts.push_back({hi, hi * random.real(-60, -54), 0});
    }
    CHECK(relative_error(value(merge(parts)), exact_sum(parts)) <= 0x1p-100);
  }
}

TEST_CASE("many sums merge to far below an ulp of the root") {
  Random random(2);
  std::vector<Partial> parts;
  for (int i = 0; i < 100'000; ++i) {
    const double hi = random.positive(0, 20);
    parts.push_back({hi, hi * random.real(-60, -54), 0});
  }
  CHECK(relative_error(value(merge(parts)), exact_sum(parts)) <= 0x1p-80);
}

TEST_CASE("sums of different scales merge to 2^-100") {
  Random random(3);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Partial> parts;
    for (int i = random.between(2, 8); i > 0; --i) {
      parts.push_back(random_partial(random, random.between(-1, 1)));
    }
    const Partial sum = merge(parts);
    CAPTURE(sum.hi);
    CAPTURE(sum.scale);
    CHECK(std::isfinite(sum.hi));
    CHECK(relative_error(value(sum), exact_sum(parts)) <= 0x1p-100);
  }
}

TEST_CASE("nothing merges to zero, and one sum to itself") {
  CHECK(is_same(merge({}), Partial{}));
  Random random(4);
  for (int round = 0; round < 300; ++round) {
    const Partial part = random_partial(random, random.between(-1, 1));
    CHECK(is_same(merge(std::vector{part}), part));
  }
}

TEST_CASE("zeros are neutral at any scale and place") {
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    const Partial a = random_partial(random, random.between(-1, 1));
    const Partial b = random_partial(random, random.between(-1, 1));
    const Partial sum = merge(std::vector{a, b});
    for (const int scale : {-1, 0, 1}) {
      const Partial zero{0.0, 0.0, scale};
      CHECK(is_same(merge(std::vector{zero, a, b}), sum));
      CHECK(is_same(merge(std::vector{a, zero, b}), sum));
      CHECK(is_same(merge(std::vector{a, b, zero}), sum));
    }
  }
}

TEST_CASE("an infinity stays one, and NaN beats it, in any order and scale") {
  const Partial infinity{kInfinity, kNaN, 0};
  const Partial nan{kNaN, kNaN, 0};
  std::vector<int> order{0, 1, 2, 3};
  const std::vector<Partial> parts{infinity, {1.0, 0.0, 1}, {1.0, 0.0, -1}, {0.0, 0.0, 0}};
  do {
    std::vector<Partial> shuffled;
    for (const int i : order) shuffled.push_back(parts[static_cast<std::size_t>(i)]);
    CHECK(merge(shuffled).hi == kInfinity);
    CHECK(scaled_root(merge(shuffled), 0.5) == kInfinity);
    shuffled.push_back(infinity);
    CHECK(merge(shuffled).hi == kInfinity);
    for (std::size_t place = 0; place <= shuffled.size(); ++place) {
      auto with_nan = shuffled;
      with_nan.insert(with_nan.begin() + static_cast<std::ptrdiff_t>(place), nan);
      CHECK(std::isnan(merge(with_nan).hi));
      CHECK(std::isnan(scaled_root(merge(with_nan), 0.5)));
    }
  } while (std::ranges::next_permutation(order).found);
}

// Far from subnormal roots, and from too large ones.
Partial random_partial_of_normal_root(Random& random) {
  for (;;) {
    const Partial part = random_partial(random, random.between(-1, 1));
    if (value(part) > power_of_two(-2040)) return part;
  }
}

TEST_CASE("roots are within 0.53 ulp at every scale") {
  Random random(6);
  for (int round = 0; round < 20'000; ++round) {
    const Partial sum = random_partial_of_normal_root(random);
    CAPTURE(sum.hi);
    CAPTURE(sum.scale);
    CHECK(is_root_within(scaled_root(sum), value(sum), 0.53));
  }
}

TEST_CASE("a root and its rest are far closer than an ulp") {
  Random random(7);
  for (int round = 0; round < 5000; ++round) {
    const Partial sum = random_partial(random, random.between(-1, 1));
    const Root norm = root(sum);
    const Exact both = (static_cast<Exact>(norm.value) + static_cast<Exact>(norm.rest)) *
                       power_of_two(norm.exponent);
    CHECK(relative_error(both * both, value(sum)) <= 0x1p-95);
    CHECK(std::fabs(norm.rest) <= 0x1p-53 * norm.value);
  }
}

// Rightly inf: from half an ulp above the largest number on.
bool may_overflow(Exact square) {
  const Exact least = static_cast<Exact>(kMost) + Exact{0.94} * power_of_two(970);
  return square >= least * least;
}

TEST_CASE("scaled roots are within 0.53 ulp, and inf when too large") {
  Random random(8);
  int infinite = 0;
  for (int round = 0; round < 20'000; ++round) {
    const Partial sum = random_partial_of_normal_root(random);
    const double scale = random.positive(-1074, 1022);
    const Exact square = value(sum) * static_cast<Exact>(scale) * static_cast<Exact>(scale);
    if (square < power_of_two(-2044)) continue;
    const double norm = scaled_root(sum, scale);
    CAPTURE(sum.hi);
    CAPTURE(sum.scale);
    CAPTURE(scale);
    CAPTURE(norm);
    CHECK((std::isinf(norm) ? may_overflow(square) : is_root_within(norm, square, 0.53)));
    infinite += std::isinf(norm);
  }
  CHECK(infinite > 1000);
}

TEST_CASE("subnormal roots are within 0.53 ulp") {
  Random random(9);
  for (int round = 0; round < 20'000; ++round) {
    const Partial sum{random.positive(-2, 2), 0.0, 1};
    const double scale = random.positive(-476, -424);
    const Exact square = value(sum) * static_cast<Exact>(scale) * static_cast<Exact>(scale);
    const double norm = scaled_root(sum, scale);
    CAPTURE(sum.hi);
    CAPTURE(scale);
    CAPTURE(norm);
    CHECK(is_root_within(norm, square, 0.53));
  }
}

TEST_CASE("exact roots are exact") {
  CHECK(scaled_root({0.0, 0.0, 0}) == 0.0);
  CHECK(scaled_root({0.0, 0.0, 1}, 1e300) == 0.0);
  CHECK(scaled_root({25.0, 0.0, 0}) == 5.0);
  CHECK(scaled_root({25.0, 0.0, 0}, 0.25) == 1.25);
  CHECK(scaled_root({25.0, 0.0, 1}) == std::ldexp(5.0, -600));
  CHECK(scaled_root({25.0, 0.0, -1}) == std::ldexp(5.0, 600));
  CHECK(scaled_root({4.0, 0.0, 1}, 0x1p-474) == 0x1p-1073);
  CHECK(scaled_root({0x1p846, 0.0, -1}) == 0x1p1023);
  CHECK(scaled_root({0x1p848, 0.0, -1}) == kInfinity);
  CHECK(scaled_root({0x1p848, 0.0, -1}, 0.5) == 0x1p1023);
}

}  // namespace
}  // namespace gradclip::test
