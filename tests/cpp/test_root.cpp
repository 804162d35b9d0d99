// Norms as the roots of sums of squares, rounded to float64.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

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
constexpr double kMost = std::numeric_limits<double>::max();

// Far from subnormal roots, and from too large ones.
Partial random_partial_of_normal_root(Random& random) {
  for (;;) {
    const Partial part = random_partial(random, random_unit(random));
    if (value(part) > power_of_two(-2040)) return part;
  }
}

TEST_CASE("roots are within 0.53 ulp in every unit") {
  Random random(6);
  for (int round = 0; round < 20'000; ++round) {
    const Partial sum = random_partial_of_normal_root(random);
    CAPTURE(sum.hi);
    CAPTURE(sum.unit);
    CHECK(is_root_within(scaled_root(sum, kTwo), value(sum), 0.53));
  }
}

TEST_CASE("a root and its rest are far closer than an ulp") {
  Random random(7);
  for (int round = 0; round < 5000; ++round) {
    const Partial sum = random_partial(random, random_unit(random));
    const Root norm = root(sum, kTwo);
    const Exact both = value(norm);
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
    const double norm = scaled_root(sum, kTwo, scale);
    CAPTURE(sum.hi);
    CAPTURE(sum.unit);
    CAPTURE(scale);
    CAPTURE(norm);
    CHECK((std::isinf(norm) ? may_overflow(square) : is_root_within(norm, square, 0.53)));
    infinite += std::isinf(norm);
  }
  CHECK(infinite > 1000);
}

TEST_CASE("subnormal roots are within an ulp") {
  Random random(9);
  for (int round = 0; round < 20'000; ++round) {
    const Partial sum{random.positive(-2, 2), 0.0, 0x1p-600};
    const double scale = random.positive(-476, -424);
    const Exact square = value(sum) * static_cast<Exact>(scale) * static_cast<Exact>(scale);
    const double norm = scaled_root(sum, kTwo, scale);
    CAPTURE(sum.hi);
    CAPTURE(scale);
    CAPTURE(norm);
    CHECK(is_root_within(norm, square, 1.0));
  }
}

TEST_CASE("the root of an infinite sum is inf, and that of any NaN the same NaN") {
  for (const double scale : {1.0, 0.3, 0x1p-1074, 0x1p1023}) {
    CHECK(scaled_root({kInfinity, kNaN, 1.0}, kTwo, scale) == kInfinity);
    CHECK(bits(scaled_root({kNaN, 0.0, 1.0}, kTwo, scale)) == bits(kNaN));
    CHECK(bits(scaled_root({-kNaN, kNaN, 0x1p-600}, kTwo, scale)) == bits(kNaN));
  }
}

TEST_CASE("exact roots are exact") {
  CHECK(scaled_root({0.0, 0.0, 1.0}, kTwo) == 0.0);
  CHECK(scaled_root({0.0, 0.0, 0x1p-600}, kTwo, 1e300) == 0.0);
  CHECK(scaled_root({25.0, 0.0, 1.0}, kTwo) == 5.0);
  CHECK(scaled_root({25.0, 0.0, 1.0}, kTwo, 0.25) == 1.25);
  CHECK(scaled_root({25.0, 0.0, 0x1p-600}, kTwo) == std::ldexp(5.0, -600));
  CHECK(scaled_root({25.0, 0.0, 0x1p600}, kTwo) == std::ldexp(5.0, 600));
  CHECK(scaled_root({4.0, 0.0, 0x1p-600}, kTwo, 0x1p-474) == 0x1p-1073);
  CHECK(scaled_root({0x1p846, 0.0, 0x1p600}, kTwo) == 0x1p1023);
  CHECK(scaled_root({0x1p848, 0.0, 0x1p600}, kTwo) == kInfinity);
  CHECK(scaled_root({0x1p848, 0.0, 0x1p600}, kTwo, 0.5) == 0x1p1023);
}

}  // namespace
}  // namespace gradclip::test
