// Norms of every order of lists: those of all blocks together, and of pairs.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/passes.hpp"
#include "support/arrays.hpp"
#include "support/clips.hpp"
#include "support/memory.hpp"
#include "support/moduli.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The moduli of pairs, the magnitudes of other numbers.
std::vector<Exact> magnitudes(const Arrays& arrays) {
  std::vector<Exact> result;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const Values values = arrays.read(i);
    const std::size_t step = arrays.element(i).pair ? 2 : 1;
    for (std::size_t k = 0; k < values.size(); k += step) {
      result.push_back(step == 2 ? exact_modulus(values[k], values[k + 1])
                                 : static_cast<Exact>(std::fabs(values[k])));
    }
  }
  return result;
}

double norm(Arrays& arrays, double p) { return norm_of(arrays, 1.0, Order::of(p)); }

TEST_CASE("norms of lists of every kind of array, blocks and gaps") {
  Arrays arrays = mixed_arrays();
  Exact sum = 0;
  Exact most = 0;
  long double cubes = 0;
  long double roots = 0;
  for (const Exact x : magnitudes(arrays)) {
    sum += x;
    if (x > most) most = x;
    const auto wide = static_cast<long double>(x);
    cubes += wide * wide * wide;
    roots += std::sqrt(wide);
  }
  CHECK(relative_error(static_cast<Exact>(norm(arrays, 1.0)), sum) <= 0x1p-43);
  CHECK(relative_error(static_cast<Exact>(norm(arrays, kInfinity)), most) <= 0x1p-52);
  CHECK(std::fabs(norm(arrays, 3.0) / std::cbrt(cubes) - 1) <= 0x1p-50L);
  CHECK(std::fabs(norm(arrays, 0.5) / (roots * roots) - 1) <= 0x1p-49L);
}

TEST_CASE("a norm of order 2 of pairs is that of their parts, bit for bit") {
  Random random(1);
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    for (const std::size_t size : {std::size_t{2}, kBlock - 2, kBlock, 3 * kBlock + 66}) {
      for (const std::size_t gap : {0u, 3u}) {
        const Values values = random_values(random, size, -20, 20);
        Arrays pairs;
        pairs.add(values, Element{dtype, true}, 1, gap);
        Arrays reals;
        reals.add(values, dtype);
        for_each_setting([&] { CHECK(bits(norm(pairs, 2.0)) == bits(norm(reals, 2.0))); });
      }
    }
  }
}

TEST_CASE("pairs of order 1 are not the same as their parts") {
  Arrays pairs;
  pairs.add({3.0, 4.0, -5.0, 12.0}, kComplex64);
  CHECK(norm(pairs, 1.0) == 18.0);
  CHECK(norm(pairs, kInfinity) == 13.0);
  CHECK(norm(pairs, 2.0) == std::sqrt(194.0));
  CHECK(norm(pairs, 3.0) == doctest::Approx(std::cbrt(125.0 + 2197.0)).epsilon(1e-15));
}

TEST_CASE("arrays of very different magnitudes join one norm") {
  Arrays arrays;
  arrays.add(Values(3, 1e300), DType::kFloat64);
  arrays.add(Values(5, 1e-300), DType::kFloat64);
  arrays.add({6e299, 8e299}, kComplex128);
  arrays.add({0.0}, DType::kFloat16);
  CHECK(norm(arrays, 1.0) == doctest::Approx(4e300).epsilon(1e-15));
  CHECK(norm(arrays, 2.0) == doctest::Approx(2e300).epsilon(1e-15));
  CHECK(norm(arrays, 3.0) == doctest::Approx(std::cbrt(4.0) * 1e300).epsilon(1e-15));
  CHECK(norm(arrays, 0.5) == doctest::Approx(16e300).epsilon(1e-15));
  CHECK(norm(arrays, kInfinity) == doctest::Approx(1e300).epsilon(1e-15));
}

TEST_CASE("arrays of zeros leave the norm of the others, however small or large these are") {
  for (const double p : {1e-3, 0.5, 1.0, 2.0, 3.0, 1000.0, kInfinity}) {
    for (const double x : {5e-324, 1e-310, 1e-200, 1.0, 1e200, 1e308}) {
      for (const bool pair : {false, true}) {
        Arrays arrays;
        arrays.add({0.0, 0.0}, Element{DType::kFloat64, pair});
        arrays.add({0.0, x}, Element{DType::kFloat64, pair});
        arrays.add({0.0, -0.0}, DType::kFloat16);
        arrays.add({0.0, 0.0}, kComplex64);
        CAPTURE(p);
        CAPTURE(x);
        CAPTURE(pair);
        CHECK(norm(arrays, p) == x);
      }
    }
  }
}

TEST_CASE("the first array with an infinity or NaN is named in every order") {
  for (const double p : {0.5, 1.0, 2.0, 3.0, kInfinity}) {
    for (const double bad : {-kInfinity, std::numeric_limits<double>::quiet_NaN()}) {
      Arrays arrays;
      arrays.add(Values(40, 1e300), kComplex128);
      arrays.add(Values(40, 60000.0), DType::kFloat16);
      arrays.add({1.0, bad}, kComplex64);
      arrays.add({kInfinity}, DType::kBfloat16);
      const SpanList spans = arrays.spans();
      const Work work(spans);
      Norms norms(work, Order::of(p));
      norms.measure();
      CHECK(norms.first_nonfinite() == 2);
      CHECK(std::isnan(norms.norm()) == std::isnan(bad));
      CHECK(!std::isfinite(norms.norm()));
    }
  }
}

}  // namespace
}  // namespace gradclip::test
