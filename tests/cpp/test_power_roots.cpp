// Norms as roots of any order of merged sums.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/partial.hpp"
#include "support/exact.hpp"
#include "support/random.hpp"

namespace gradclip::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMost = std::numeric_limits<double>::max();
constexpr double kLeast = std::numeric_limits<double>::denorm_min();
constexpr Order kOne = Order::of(1.0);
constexpr Order kMax = Order::of(kInfinity);
constexpr Order kCube = Order::of(3.0);

TEST_CASE("exact roots are exact") {
  CHECK(scaled_root({8.0, 0.0, 5.0}, kCube) == 10.0);
  CHECK(scaled_root({1e15, 0.0, 1.0}, kCube) == 1e5);
  CHECK(scaled_root({27.0, 0.0, 0x1p-1070}, kCube) == 3 * 0x1p-1070);
  CHECK(scaled_root({0.125, 0.0, 0x1p1000}, kCube) == 0x1p999);
  CHECK(scaled_root({9.0, 0.0, 7.0}, Order::of(0.5)) == 567.0);
  CHECK(scaled_root({32.0, 0.0, 3.0}, Order::of(5.0), 0.5) == 3.0);
  CHECK(scaled_root({3.0, 0.0, 0.75}, kOne) == 2.25);
  CHECK(scaled_root({3.0, 0.0, 0x1p600}, kMax, 0.25) == 0x1.8p599);
  for (const Order order : {kOne, kMax, kCube, Order::of(0.5)}) {
    CHECK(scaled_root({0.0, 0.0, 1e300}, order, 1e300) == 0.0);
  }
}

TEST_CASE("the low part of a sum counts") {
  CHECK(scaled_root({1.0, 0x1p-54, 1.0}, Order::of(0.25)) == 1.0 + 0x1p-52);
  CHECK(scaled_root({1.0, -0x1p-54, 1.0}, Order::of(0.25)) == 1.0 - 0x1p-52);
  CHECK(scaled_root({4.0, 0x1p-52, 0x1p-1040}, Order::of(0x1p-10)) > 0x1p1008);
}

TEST_CASE("one element has its own norm, in any order") {
  for (const double p : {5e-324, 1e-300, 1e-3, 0.3, 3.0, 1e10, kMost}) {
    for (const double x : {kLeast, 0x1.23p-1060, 0.1, 1.0, 1e300, kMost}) {
      CAPTURE(p);
      CAPTURE(x);
      CHECK(scaled_root({1.0, 0.0, x}, Order::of(p)) == x);
    }
  }
}

TEST_CASE("roots of any order are good to 2^-50 times 1/p") {
  Random random(1);
  for (int round = 0; round < 20'000; ++round) {
    const double p = random.positive(-10, 10);
    const double hi = 1.0 + random.positive(-3, 13);
    const Partial sum{hi, hi * random.real(-60, -54), random.positive(-1060, 1020)};
    const auto all = static_cast<long double>(sum.hi) + static_cast<long double>(sum.lo);
    const long double power = std::log2(all) / static_cast<long double>(p);
    const long double whole = std::floor(power);
    CAPTURE(p);
    CAPTURE(sum.hi);
    const Root norm = root(sum, Order::of(p));
    // The logarithm of their ratio, since either may be far out of range.
    int exponent = 0;
    const double unit = std::frexp(sum.unit, &exponent);
    const long double ratio =
        static_cast<long double>(norm.value) / (unit * std::exp2(power - whole));
    const auto scale = norm.exponent - exponent - static_cast<int>(whole);
    CHECK(std::fabs(std::ldexp(ratio, scale) - 1) <= 0x1p-50L * std::fmax(1.0, 1.0 / p));
  }
}

TEST_CASE("tiny orders of more than one element are infinite, and never NaN") {
  for (const double p : {5e-324, 1e-300, 1e-10}) {
    CAPTURE(p);
    CHECK(scaled_root({2.0, 0.0, 1.0}, Order::of(p)) == kInfinity);
    CHECK(scaled_root({2.0, 0.0, kLeast}, Order::of(p)) == kInfinity);
    CHECK(scaled_root({2.0, 0.0, kMost}, Order::of(p), kLeast) == kInfinity);
    CHECK(scaled_root({std::nextafter(1.0, 2.0), 0.0, 1.0}, Order::of(p)) >= 1.0);
  }
  // 2^1000, 2^2000
  CHECK(scaled_root({2.0, 0.0, 1.0}, Order::of(1e-3)) == doctest::Approx(0x1p1000).epsilon(1e-12));
  CHECK(scaled_root({4.0, 0.0, 1.0}, Order::of(1e-3)) == kInfinity);
  CHECK(scaled_root({4.0, 0.0, 0x1p-1000}, Order::of(1e-3)) ==
        doctest::Approx(0x1p1000).epsilon(1e-12));
  CHECK(scaled_root({4.0, 0.0, 1.0}, Order::of(1e-3), 0x1p-1000) ==
        doctest::Approx(0x1p1000).epsilon(1e-12));
}

TEST_CASE("a norm is infinite only when it is too large once scaled") {
  CHECK(scaled_root({1.0, 0.0, kMost}, kCube) == kMost);
  CHECK(scaled_root({8.0, 0.0, kMost}, kCube) == kInfinity);
  CHECK(scaled_root({8.0, 0.0, kMost}, kCube, 0.5) == kMost);
  CHECK(scaled_root({8.0, 0.0, 0x1p1022}, kCube) == 0x1p1023);
  CHECK(scaled_root({8.0, 0.0, 0x1p1023}, kCube) == kInfinity);
  CHECK(scaled_root({8.0, 0.0, 0x1p1023}, kCube, 0x1p-1074) == 0x1p-50);
  CHECK(scaled_root({0x1p423, 0.0, 0x1p600}, kOne) == 0x1p1023);
  CHECK(scaled_root({0x1p424, 0.0, 0x1p600}, kOne) == kInfinity);
  CHECK(scaled_root({0x1p424, 0.0, 0x1p600}, kOne, 0.5) == 0x1p1023);
  CHECK(scaled_root({kMost, 0.0, 1.0}, kMax) == kMost);
  CHECK(scaled_root({kMost, 0.0, 1.0}, kMax, 1.5) == kInfinity);
  CHECK(scaled_root({kMost, 0.0, 0x1p600}, kMax, 0x1p-600) == kMost);
}

}  // namespace
}  // namespace gradclip::test
