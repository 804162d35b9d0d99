// Norms of lists of arrays: within the bounds of their dtypes, and the same bits everywhere.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/passes.hpp"
#include "support/arrays.hpp"
#include "support/memory.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Relative to a sum of squares: twice the norm's 2^-44.
constexpr double kNarrowBound = 0x1p-43;

struct Measured {
  double norm;
  double scaled_norm;
  std::size_t first_nonfinite;
  std::vector<double> array_norms;
};

Measured measure(Arrays& arrays, Order order = Order{}) {
  const SpanList spans = arrays.spans();
  const Work work(spans);
  Norms norms(work, order);
  wake_workers();
  norms.measure();
  Measured result{norms.norm(), norms.norm(0.3), norms.first_nonfinite(), {}};
  result.array_norms.resize(arrays.size());
  norms.array_norms(result.array_norms.data());
  return result;
}

TEST_CASE("norms keep the bounds of their dtypes") {
  Arrays arrays = mixed_arrays();
  const Measured measured = measure(arrays);
  const auto squared = [](double x) { return static_cast<Exact>(x) * static_cast<Exact>(x); };
  CHECK(relative_error(squared(measured.norm), arrays.sum_of_squares()) <= kNarrowBound);
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    CAPTURE(i);
    const double norm = measured.array_norms[i];
    const Exact exact = arrays.sum_of_squares(i);
    if (arrays.dtype(i) == DType::kFloat64) {
      CHECK(is_root_within(norm, exact, 0.53));
    } else {
      CHECK(relative_error(squared(norm), exact) <= kNarrowBound);
    }
  }
  CHECK(measured.first_nonfinite == arrays.size());
}

TEST_CASE("the norm of float64 arrays is within an ulp, whatever their magnitudes") {
  Random random(2);
  for (int round = 0; round < 100; ++round) {
    Arrays arrays;
    for (int i = random.between(1, 10); i > 0; --i) {
      const int low = random.between(-1060, 1000);
      arrays.add(random_values(random, random.between<std::size_t>(0, 2000), low, low + 9),
                 DType::kFloat64);
    }
    CAPTURE(round);
    const Measured measured = measure(arrays);
    if (std::isinf(measured.norm)) {
      CHECK((arrays.sum_of_squares() >= power_of_two(2048) * (1 - power_of_two(-53))));
      continue;
    }
    CHECK(is_root_within(measured.norm, arrays.sum_of_squares(), 0.53));
    CHECK(is_root_within(
        measured.scaled_norm,
        arrays.sum_of_squares() * static_cast<Exact>(0.3) * static_cast<Exact>(0.3), 0.53));
  }
}

TEST_CASE("norms have the same bits for any number of threads and instruction set") {
  Arrays arrays = mixed_arrays();
  for (const double p : {1.0, 2.0, kInfinity, 3.0}) {
    CAPTURE(p);
    const Order order = Order::of(p);
    const Measured first = measure(arrays, order);
    for_each_setting([&] {
      for (int run = 0; run < (order.kind == OrderKind::kPower ? 1 : 3); ++run) {
        const Measured again = measure(arrays, order);
        CHECK(bits(again.norm) == bits(first.norm));
        CHECK(bits(again.scaled_norm) == bits(first.scaled_norm));
        CHECK(again.array_norms == first.array_norms);
      }
    });
  }
}

TEST_CASE("gaps and alignment make no difference to the bits") {
  Random random(3);
  const Values values = random_values(random, kBlock + 78);
  for (const Element element :
       {Element{DType::kFloat16}, Element{DType::kBfloat16}, Element{DType::kFloat32},
        Element{DType::kFloat64}, kComplex64, kComplex128}) {
    Arrays plain;
    plain.add(values, element);
    for (const double p : {1.0, 2.0, kInfinity, 3.0}) {
      const Order order = Order::of(p);
      for (const std::size_t offset : {0u, 1u, 4u, 6u}) {
        for (const std::size_t gap : {0u, 1u, 8u}) {
          Arrays other;
          other.add(values, element, offset, gap);
          CHECK(bits(measure(other, order).norm) == bits(measure(plain, order).norm));
        }
      }
    }
  }
}

TEST_CASE("an empty list, and one of empty arrays, has norm zero") {
  Arrays arrays;
  CHECK(bits(measure(arrays).norm) == 0);
  arrays.add({}, DType::kFloat32);
  arrays.add({}, DType::kFloat64, 1, 3);
  const Measured measured = measure(arrays);
  CHECK(bits(measured.norm) == 0);
  CHECK(measured.array_norms == Values{0.0, 0.0});
  CHECK(measured.first_nonfinite == 2);
}

TEST_CASE("the first array that holds an infinity or NaN is named, and NaN beats inf") {
  for (const double bad : {kInfinity, -kInfinity, kNaN}) {
    for (std::size_t place = 0; place < 6; ++place) {
      Arrays arrays;
      Random random(4);
      for (std::size_t i = 0; i < 6; ++i) {
        Values values = random_values(random, 40'000);
        if (i >= place) values[i * 7'000] = i == place ? bad : kInfinity;
        arrays.add(values, i % 2 == 0 ? DType::kFloat32 : DType::kFloat64, 0, i % 3);
      }
      CAPTURE(bad);
      CAPTURE(place);
      for_each_setting([&] {
        const Measured measured = measure(arrays);
        CHECK(measured.first_nonfinite == place);
        CHECK(std::isnan(measured.norm) == std::isnan(bad));
        CHECK(!std::isfinite(measured.norm));
        for (std::size_t i = 0; i < 6; ++i) {
          CHECK(std::isfinite(measured.array_norms[i]) == (i < place));
        }
      });
    }
  }
}

TEST_CASE("a finite list whose norm is too large for float64 holds nothing non-finite") {
  Arrays arrays;
  arrays.add(Values(4, 1.5e308), DType::kFloat64);
  arrays.add(Values(4, 1e38), DType::kFloat32);
  const Measured measured = measure(arrays);
  CHECK(measured.norm == kInfinity);
  CHECK(std::isfinite(measured.scaled_norm));
  CHECK(measured.first_nonfinite == 2);
}

}  // namespace
}  // namespace gradclip::test
