// The largest magnitude or modulus of one block.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/blocks.hpp"
#include "support/exact.hpp"
#include "support/moduli.hpp"
#include "support/patterns.hpp"

namespace gradclip::test {
namespace {

TEST_CASE_TEMPLATE("the largest magnitude is exact, on every instruction set", T, Float16, Bfloat16,
                   float, double) {
  for (const std::size_t n : kSizes) {
    for (const Pattern<T>& pattern : finite_patterns<T>(n)) {
      CAPTURE(n);
      CAPTURE(pattern.name);
      double most = 0.0;
      for (const T x : pattern.values) most = std::max(most, std::fabs(to_double(x)));
      for_each_placement(pattern.values, kMax, Of::kReals, [&](const Partial& largest) {
        CHECK(same(largest, {most, 0.0, 1.0}));
      });
    }
  }
}

TEST_CASE_TEMPLATE("the largest is found at any place, whatever its sign", T, Float16, Bfloat16,
                   float, double) {
  for (const std::size_t n : {1u, 33u, 255u, static_cast<unsigned>(kBlock) - 1u}) {
    for (const std::size_t place : places(n)) {
      for (const double x : {2.0, -2.0}) {
        CAPTURE(n);
        CAPTURE(place);
        std::vector<T> values(n, from_double<T>(-1.5));
        values[place] = from_double<T>(x);
        for_each_placement(values, kMax, Of::kReals,
                           [](const Partial& largest) { CHECK(largest.hi == 2.0); });
      }
    }
  }
}

TEST_CASE_TEMPLATE("the largest modulus is good to 2^-52 and the same bits everywhere", T, float,
                   double) {
  for (const std::size_t n : kSizesOfPairs) {
    for (const Pattern<T>& pattern : finite_patterns<T>(n)) {
      CAPTURE(n);
      CAPTURE(pattern.name);
      const Partial expected = reference(pattern.values, kMax, Of::kPairs);
      Exact most = 0;
      for (std::size_t i = 0; i < n; i += 2) {
        const Exact modulus = exact_modulus(pattern.values[i], pattern.values[i + 1]);
        if (modulus > most) most = modulus;
      }
      CHECK(std::isfinite(expected.hi));
      CHECK(relative_error(value(expected, kMax), most) <= 0x1p-52);
      for_each_placement(pattern.values, kMax, Of::kPairs,
                         [&](const Partial& largest) { CHECK(same(largest, expected)); });
    }
  }
}

}  // namespace
}  // namespace gradclip::test
