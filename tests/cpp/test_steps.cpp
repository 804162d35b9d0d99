// A factor as the dtypes apply it: in one step, or in two where it is subnormal.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/factor.hpp"
#include "support/exact.hpp"
#include "support/memory.hpp"
#include "support/random.hpp"

namespace gradclip::test {
namespace {

constexpr int kRounds = 100'000;

// Down to here a factor times a finite number can be more than the least subnormal number.
template <class T>
constexpr int kLeastExponent =
    2 * std::numeric_limits<T>::min_exponent - std::numeric_limits<T>::digits;

template <class T>
Factor random_factor(Random& random) {
  const int exponent =
      random.between(kLeastExponent<T> + 2, std::numeric_limits<T>::max_exponent - 1);
  return {random.positive(-2, 0), exponent};
}

template <class T>
Steps steps_as(Factor factor, Rounding rounding) {
  return steps(factor, rounding)[index(dtype_of<T>())];
}

TEST_CASE_TEMPLATE("the steps of a factor are the largest value below it, with all its bits", T,
                   float, double) {
  using Limits = std::numeric_limits<T>;
  Random random(6);
  for (int round = 0; round < kRounds; ++round) {
    const Factor factor = random_factor<T>(random);
    CAPTURE(factor.mantissa);
    CAPTURE(factor.exponent);
    const Steps result = steps_as<T>(factor, Rounding::kTowardZero);
    const T first = static_cast<T>(result.first);
    const Exact second = static_cast<Exact>(result.second);
    CHECK(static_cast<double>(first) == result.first);
    CHECK(first >= Limits::min());
    CHECK((static_cast<Exact>(first) * second <= value(factor)));
    CHECK((static_cast<Exact>(std::nextafter(first, Limits::infinity())) * second > value(factor)));
    const bool normal = value(factor) >= static_cast<Exact>(Limits::min());
    CHECK((result.second == 1.0) == normal);
  }
}

TEST_CASE_TEMPLATE("the steps of a factor to nearest are within half an ulp, with all its bits", T,
                   float, double) {
  using Limits = std::numeric_limits<T>;
  Random random(7);
  for (int round = 0; round < kRounds; ++round) {
    const Factor factor = random_factor<T>(random);
    CAPTURE(factor.mantissa);
    CAPTURE(factor.exponent);
    const Steps result = steps_as<T>(factor, Rounding::kNearest);
    CHECK(static_cast<double>(static_cast<T>(result.first)) == result.first);
    const Exact both = static_cast<Exact>(result.first) * static_cast<Exact>(result.second);
    CHECK(relative_error(both, value(factor)) <= std::ldexp(1.0, -Limits::digits));
  }
}

TEST_CASE_TEMPLATE("a second step is a power of two of the dtype, a first one makes nothing larger",
                   T, float, double) {
  Random random(8);
  for (int round = 0; round < kRounds; ++round) {
    const Factor factor = random_factor<T>(random);
    CAPTURE(factor.mantissa);
    CAPTURE(factor.exponent);
    for (const Rounding rounding : {Rounding::kNearest, Rounding::kTowardZero}) {
      const Steps result = steps_as<T>(factor, rounding);
      int exponent = 0;
      CHECK(std::frexp(result.second, &exponent) == 0.5);
      CHECK(static_cast<double>(static_cast<T>(result.second)) == result.second);
      CHECK((result.second == 1.0 || result.first <= 1.0));
    }
  }
}

TEST_CASE_TEMPLATE("one step is the same float64 for all dtypes", T, float, double) {
  for (const double factor : {0.0, 0.1, 1e-300, 1e300}) {
    const Steps result = one_step(factor)[index(dtype_of<T>())];
    CHECK(result.first == factor);
    CHECK(result.second == 1.0);
  }
}

TEST_CASE_TEMPLATE("factors that make everything zero or infinite are finite", T, float, double) {
  const Steps largest = steps_as<T>({0.75, 5000}, Rounding::kTowardZero);
  CHECK(std::isfinite(static_cast<T>(largest.first)));
  const Steps least = steps_as<T>({0.75, -5000}, Rounding::kTowardZero);
  CHECK(least.first * least.second == 0.0);
}

}  // namespace
}  // namespace gradclip::test
