// Merging sums of squares: what is added is kept, and what is not a number is passed on.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/partial.hpp"
#include "support/exact.hpp"
#include "support/memory.hpp"
#include "support/partials.hpp"
#include "support/random.hpp"

namespace gradclip::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Order kTwo = Order::of(2.0);
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Exact exact_sum(const std::vector<Partial>& parts) {
  Exact sum = 0;
  for (const Partial& part : parts) sum += value(part);
  return sum;
}

bool is_same(const Partial& a, const Partial& b) {
  return bits(a.hi) == bits(b.hi) && bits(a.lo) == bits(b.lo) && bits(a.unit) == bits(b.unit);
}

TEST_CASE("a few sums of one magnitude merge to 2^-100") {
  Random random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Partial> parts;
    for (int i = random.between(1, 8); i > 0; --i) {
      const double hi = random.positive(0, 20);
      parts.push_back({hi, hi * random.real(-60, -54), 1.0});
    }
    CHECK(relative_error(value(merge(parts, kTwo)), exact_sum(parts)) <= 0x1p-100);
  }
}

TEST_CASE("many sums merge to far below an ulp of the root") {
  Random random(2);
  std::vector<Partial> parts;
  for (int i = 0; i < 100'000; ++i) {
    const double hi = random.positive(0, 20);
    parts.push_back({hi, hi * random.real(-60, -54), 1.0});
  }
  CHECK(relative_error(value(merge(parts, kTwo)), exact_sum(parts)) <= 0x1p-80);
}

TEST_CASE("sums in different units merge to 2^-100") {
  Random random(3);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Partial> parts;
    for (int i = random.between(2, 8); i > 0; --i) {
      parts.push_back(random_partial(random, random_unit(random)));
    }
    const Partial sum = merge(parts, kTwo);
    CAPTURE(sum.hi);
    CAPTURE(sum.unit);
    CHECK(std::isfinite(sum.hi));
    CHECK(relative_error(value(sum), exact_sum(parts)) <= 0x1p-100);
  }
}

TEST_CASE("nothing merges to zero, and one sum to itself") {
  CHECK(is_same(merge({}, kTwo), Partial{}));
  Random random(4);
  for (int round = 0; round < 300; ++round) {
    const Partial part = random_partial(random, random_unit(random));
    CHECK(is_same(merge(std::vector{part}, kTwo), part));
  }
}

TEST_CASE("zeros are neutral at any unit and place") {
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    const Partial a = random_partial(random, random_unit(random));
    const Partial b = random_partial(random, random_unit(random));
    const Partial sum = merge(std::vector{a, b}, kTwo);
    for (const double unit : kUnits) {
      const Partial zero{0.0, 0.0, unit};
      CHECK(is_same(merge(std::vector{zero, a, b}, kTwo), sum));
      CHECK(is_same(merge(std::vector{a, zero, b}, kTwo), sum));
      CHECK(is_same(merge(std::vector{a, b, zero}, kTwo), sum));
    }
  }
}

TEST_CASE("an infinity stays one, and NaN beats it, in any order and unit") {
  const Partial infinity{kInfinity, kNaN, 1.0};
  const Partial nan{kNaN, kNaN, 1.0};
  std::vector<int> order{0, 1, 2, 3};
  const std::vector<Partial> parts{
      infinity, {1.0, 0.0, 0x1p-600}, {1.0, 0.0, 0x1p600}, {0.0, 0.0, 1.0}};
  do {
    std::vector<Partial> shuffled;
    for (const int i : order) shuffled.push_back(parts[static_cast<std::size_t>(i)]);
    CHECK(merge(shuffled, kTwo).hi == kInfinity);
    CHECK(scaled_root(merge(shuffled, kTwo), kTwo, 0.5) == kInfinity);
    shuffled.push_back(infinity);
    CHECK(merge(shuffled, kTwo).hi == kInfinity);
    for (std::size_t place = 0; place <= shuffled.size(); ++place) {
      auto with_nan = shuffled;
      with_nan.insert(with_nan.begin() + static_cast<std::ptrdiff_t>(place), nan);
      CHECK(std::isnan(merge(with_nan, kTwo).hi));
      CHECK(std::isnan(scaled_root(merge(with_nan, kTwo), kTwo, 0.5)));
    }
  } while (std::ranges::next_permutation(order).found);
}

}  // namespace
}  // namespace gradclip::test
