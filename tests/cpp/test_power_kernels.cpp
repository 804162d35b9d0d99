// Norms of other powers of one block, judged by wider powers.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/partial.hpp"
#include "support/blocks.hpp"
#include "support/exact.hpp"
#include "support/patterns.hpp"

namespace gradclip::test {
namespace {

constexpr double kPowers[] = {0.5, 3.0, 7.5, 1000.0};

// (Σ|x|^p)^(1/p), where long double is wider than float64.
template <class T>
long double wide_norm(const std::vector<T>& values, double p, Of of) {
  std::vector<long double> magnitudes;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const long double x = static_cast<long double>(to_double(values[i]));
    if (of == Of::kPairs && i % 2 == 1) {
      magnitudes.back() = std::hypot(magnitudes.back(), x);
    } else {
      magnitudes.push_back(std::fabs(x));
    }
  }
  long double most = 0;
  for (const long double x : magnitudes) most = std::fmax(most, x);
  if (most == 0) return 0;
  Exact sum = 0;
  for (const long double x : magnitudes) {
    sum += static_cast<Exact>(std::pow(x / most, static_cast<long double>(p)));
  }
  return most * std::pow(static_cast<long double>(sum), 1 / static_cast<long double>(p));
}

constexpr int kDigits = std::numeric_limits<long double>::digits;
constexpr bool kLongDoubleIsWider =
    kDigits >= 64 && std::numeric_limits<long double>::max_exponent > 16000;
// Where its powers are computed by software, those of a whole block take seconds.
constexpr std::size_t kMostJudged = kDigits == 64 ? kBlock : 1000;

template <class T>
void check(const Pattern<T>& pattern, double p, Of of, std::size_t offsets) {
  const Order order = Order::of(p);
  CAPTURE(pattern.values.size());
  CAPTURE(pattern.name);
  CAPTURE(p);
  const Partial expected = reference(pattern.values, order, of);
  CHECK(std::isfinite(expected.hi));
  if (kLongDoubleIsWider && pattern.values.size() <= kMostJudged) {
    const auto exact = static_cast<Exact>(wide_norm(pattern.values, p, of));
    const double bound = 0x1p-50 * std::fmax(1.0, 1.0 / p);
    CHECK(relative_error(value(root(expected, order)), exact) <= bound);
  }
  for_each_placement(
      pattern.values, order, of, [&](const Partial& sum) { CHECK(same(sum, expected)); }, offsets);
}

// Of whole blocks one power is enough: a power takes 10 ns.
template <class T>
void check_all(Of of) {
  for (const std::size_t n : {0u, 2u, 30u, 32u, 34u, 256u, 258u}) {
    for (const Pattern<T>& pattern : finite_patterns<T>(n)) {
      for (const double p : kPowers) check(pattern, p, of, 2);
    }
  }
  for (const Pattern<T>& pattern : finite_patterns<T>(kBlock - 2)) check(pattern, 3.0, of, 1);
}

TEST_CASE_TEMPLATE("norms of any power keep their bound and are the same bits everywhere", T,
                   Float16, Bfloat16, float, double) {
  check_all<T>(Of::kReals);
}

TEST_CASE_TEMPLATE("norms of moduli of any power do as well", T, float, double) {
  check_all<T>(Of::kPairs);
}

TEST_CASE_TEMPLATE("blocks of odd sizes, at every misalignment", T, Float16, Bfloat16, float,
                   double) {
  for (const std::size_t n : {1u, 31u, 33u}) {
    for (const Pattern<T>& pattern : finite_patterns<T>(n)) check(pattern, 3.0, Of::kReals, 8);
  }
}

TEST_CASE_TEMPLATE("the unit of a sum of powers is the largest magnitude", T, Float16, Bfloat16,
                   float, double) {
  const std::vector<T> values{from_double<T>(-0.5), from_double<T>(-6.0), from_double<T>(3.0)};
  for_each_placement(values, Order::of(3.0), Of::kReals, [](const Partial& sum) {
    CHECK(sum.unit == 6.0);
    CHECK(sum.hi + sum.lo == doctest::Approx(1.0 + 0.125 + 1.0 / 1728).epsilon(1e-15));
  });
}

TEST_CASE("moduli above the range of float64 have a finite sum of powers") {
  constexpr double kMost = std::numeric_limits<double>::max();
  const std::vector<double> values{kMost, kMost, kMost, 0.0};
  const Order order = Order::of(4.0);
  for_each_placement(values, order, Of::kPairs, [&](const Partial& sum) {
    CHECK(std::isfinite(sum.hi));
    CHECK(std::isinf(scaled_root(sum, order)));
    CHECK(scaled_root(sum, order, 0.5) == doctest::Approx(0.5 * std::pow(5.0, 0.25) * kMost));
  });
}

}  // namespace
}  // namespace gradclip::test
