// Sums over pairs, which are complex numbers: of moduli, and of squares.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "support/blocks.hpp"
#include "support/exact.hpp"
#include "support/moduli.hpp"
#include "support/patterns.hpp"

namespace gradclip::test {
namespace {

// Relative errors. A float64 modulus is good to 2^-52, a narrower one's sum has 512 + 5 additions.
template <class T>
constexpr double kBound = sizeof(T) < 8 ? 0x1p-43 : 0x1p-51;

template <class T>
Exact exact_sum_of_moduli(const std::vector<T>& values) {
  Exact sum = 0;
  for (std::size_t i = 0; i < values.size(); i += 2) {
    sum += exact_modulus(values[i], values[i + 1]);
  }
  return sum;
}

TEST_CASE_TEMPLATE("sums of moduli keep their bound and are the same bits everywhere", T, float,
                   double) {
  for (const std::size_t n : kSizesOfPairs) {
    for (const Pattern<T>& pattern : finite_patterns<T>(n)) {
      CAPTURE(n);
      CAPTURE(pattern.name);
      const Partial expected = reference(pattern.values, kOne, Of::kPairs);
      CHECK(std::isfinite(expected.hi));
      CHECK(relative_error(value(expected, kOne), exact_sum_of_moduli(pattern.values)) <=
            kBound<T>);
      for_each_placement(pattern.values, kOne, Of::kPairs,
                         [&](const Partial& sum) { CHECK(same(sum, expected)); });
    }
  }
}

TEST_CASE_TEMPLATE("a sum of moduli is as good whichever part is the larger, or zero", T, float,
                   double) {
  Random random(1);
  const double scales[][2] = {{1.0, 0.0}, {0.0, 1.0}, {1.0, 0x1p-30}, {0x1p-30, 1.0}};
  for (const auto& [of_real, of_imaginary] : scales) {
    std::vector<T> values;
    for (int i = 0; i < 1000; ++i) {
      values.push_back(static_cast<T>(of_real * random.real(-9, 9)));
      values.push_back(static_cast<T>(of_imaginary * random.real(-9, 9)));
    }
    const Partial sum = reference(values, kOne, Of::kPairs);
    CHECK(relative_error(value(sum, kOne), exact_sum_of_moduli(values)) <= kBound<T>);
  }
}

TEST_CASE_TEMPLATE("squares of pairs are those of their parts, bit for bit", T, float, double) {
  for (const std::size_t n : kSizesOfPairs) {
    for (const Pattern<T>& pattern : finite_patterns<T>(n)) {
      const Partial of_reals = reference(pattern.values, kTwo);
      for_each_placement(pattern.values, kTwo, Of::kPairs,
                         [&](const Partial& sum) { CHECK(same(sum, of_reals)); });
    }
  }
}

TEST_CASE_TEMPLATE("right triangles have whole moduli, in every lane", T, float, double) {
  for (std::size_t n = 2; n <= 128; n += 2) {
    std::vector<T> values;
    for (std::size_t i = 0; i < n; i += 2) {
      values.push_back(T(i % 4 == 0 ? 3 : -12));
      values.push_back(T(i % 4 == 0 ? -4 : 5));
    }
    const auto pairs = static_cast<double>(n / 2);
    const double sum = 5.0 * std::ceil(pairs / 2) + 13.0 * std::floor(pairs / 2);
    CAPTURE(n);
    for_each_placement(values, kOne, Of::kPairs, [&](const Partial& moduli) {
      CHECK((value(moduli, kOne) == static_cast<Exact>(sum)));
    });
    for_each_placement(values, kMax, Of::kPairs, [&](const Partial& most) {
      CHECK((value(most, kMax) == static_cast<Exact>(n == 2 ? 5.0 : 13.0)));
    });
  }
}

}  // namespace
}  // namespace gradclip::test
