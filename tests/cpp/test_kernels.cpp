// Sums of magnitudes and squares of one block: right to the contract, and the same bits everywhere.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "support/blocks.hpp"
#include "support/exact.hpp"
#include "support/patterns.hpp"

namespace gradclip::test {
namespace {

// Relative errors of a block's sum. Narrower types: 512 + 5 additions of exact terms. float64:
// 2^-57 leaves the norm within one ulp of its root.
template <class T>
constexpr double kBound = sizeof(T) < 8 ? 0x1p-43 : 0x1p-57;

template <class T>
Exact exact_sum(const std::vector<T>& values, Order order) {
  const std::span<const T> all(values);
  return order.kind == OrderKind::kOne ? exact_sum_of_magnitudes(all) : exact_sum_of_squares(all);
}

template <class T>
void check_finite_sums(Order order) {
  for (const std::size_t n : kSizes) {
    for (const Pattern<T>& pattern : finite_patterns<T>(n)) {
      CAPTURE(n);
      CAPTURE(pattern.name);
      const Partial expected = reference(pattern.values, order);
      const Exact exact = exact_sum(pattern.values, order);
      CHECK(std::isfinite(expected.hi));
      CHECK(relative_error(value(expected, order), exact) <= kBound<T>);
      for_each_placement(pattern.values, order, Of::kReals,
                         [&](const Partial& sum) { CHECK(same(sum, expected)); });
    }
  }
}

TEST_CASE_TEMPLATE("finite sums of squares keep their bound and are the same bits everywhere", T,
                   Float16, Bfloat16, float, double) {
  check_finite_sums<T>(kTwo);
}

TEST_CASE_TEMPLATE("finite sums of magnitudes keep their bound and are the same bits everywhere", T,
                   Float16, Bfloat16, float, double) {
  check_finite_sums<T>(kOne);
}

TEST_CASE_TEMPLATE("a sum is a total and a correction far below it", T, Float16, Bfloat16, float,
                   double) {
  for (const Pattern<T>& pattern : finite_patterns<T>(kBlock)) {
    for (const Order order : {kOne, kTwo}) {
      CAPTURE(pattern.name);
      CAPTURE(order.p);
      const Partial sum = reference(pattern.values, order);
      CHECK(std::fabs(sum.lo) <= 0x1p-14 * sum.hi);
      CHECK(sum.hi >= 0.0);
    }
  }
}

TEST_CASE_TEMPLATE("the order of additions is lane by lane, then one tree, for narrower types", T,
                   Float16, Bfloat16, float) {
  Random random(1);
  std::vector<T> values(kBlock - 5);
  for (T& x : values) x = from_double<T>(random.real(-12, 12));
  double lanes[kLanes] = {};
  for (std::size_t i = 0; i < values.size(); ++i) {
    lanes[i % kLanes] += to_double(values[i]) * to_double(values[i]);
  }
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  for_each_placement(values, kTwo, Of::kReals,
                     [&](const Partial& sum) { CHECK(bits(sum.hi) == bits(lanes[0])); });
}

TEST_CASE_TEMPLATE("nothing outside the block counts", T, Float16, Bfloat16, float, double) {
  for (const std::size_t n : kSizes) {
    CAPTURE(n);
    std::vector<T> values(n + 2, from_double<T>(0.5));
    values.front() = values.back() = infinity<T>();
    const Elements<T> x(values, 1);
    for_each_isa([&](const KernelTable& table) {
      CAPTURE(table.name);
      const auto norm = [&](Order order) {
        return norm_of_block<T>(table, x.data() + sizeof(T), n, order);
      };
      const auto count = static_cast<double>(n);
      CHECK((value(norm(kOne), kOne) == static_cast<Exact>(0.5 * count)));
      CHECK((value(norm(kTwo), kTwo) == static_cast<Exact>(0.25 * count)));
      CHECK((value(norm(kMax), kMax) == static_cast<Exact>(n == 0 ? 0.0 : 0.5)));
      const Partial cubes = norm(Order::of(3.0));
      CHECK(cubes.hi + cubes.lo == count);
      CHECK(cubes.unit == (n == 0 ? 1.0 : 0.5));
    });
  }
}

}  // namespace
}  // namespace gradclip::test
