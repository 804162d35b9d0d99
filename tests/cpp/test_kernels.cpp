// Sums of squares of one block: right to the contract, and the same bits everywhere.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "support/exact.hpp"
#include "support/memory.hpp"
#include "support/patterns.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

constexpr std::size_t kSizes[] = {0, 1, 31, 32, 33, 63, 255, 256, 257, 1000, kBlock - 1, kBlock};

// Relative errors of a block's sum. float32: 512 + 5 additions of exact squares. float64: 2^-57
// leaves the norm within one ulp of its root.
template <class T>
constexpr double kBound = sizeof(T) == 4 ? 0x1p-43 : 0x1p-57;

template <class T>
Partial sum_squares(const KernelTable& table, const Elements<T>& x, std::size_t n) {
  Partial sum{-1.0, -1.0, -1};
  table[dtype_of<T>()].sum_squares(x.data(), n, &sum);
  return sum;
}

// `lo` says nothing after an infinity, and NaNs may differ.
bool same(const Partial& a, const Partial& b) {
  if (std::isnan(a.hi) || std::isinf(a.hi)) {
    return std::isnan(a.hi) ? std::isnan(b.hi) : bits(a.hi) == bits(b.hi);
  }
  return bits(a.hi) == bits(b.hi) && bits(a.lo) == bits(b.lo) && a.scale == b.scale;
}

// Calls check(sum of squares) for each instruction set and misalignment.
template <class T, class Check>
void for_each_placement(const std::vector<T>& values, const Check& check) {
  for (std::size_t offset = 0; offset < 8; ++offset) {
    CAPTURE(offset);
    const Elements<T> x(values, offset);
    for_each_isa([&](const KernelTable& table) {
      CAPTURE(table.name);
      check(sum_squares(table, x, values.size()));
    });
  }
}

template <class T>
Partial reference(const std::vector<T>& values) {
  return sum_squares(scalar::kTable, Elements<T>(values, 0), values.size());
}

TEST_CASE_TEMPLATE("finite sums keep their bound and are the same bits everywhere", T, float,
                   double) {
  for (const std::size_t n : kSizes) {
    for (const Pattern<T>& pattern : finite_patterns<T>(n)) {
      const std::vector<T>& values = pattern.values;
      CAPTURE(n);
      CAPTURE(pattern.name);
      const Partial expected = reference(values);
      const Exact exact = exact_sum_of_squares(std::span<const T>(values));
      CHECK(std::isfinite(expected.hi));
      CHECK(relative_error(value(expected), exact) <= kBound<T>);
      for_each_placement(values, [&](const Partial& sum) { CHECK(same(sum, expected)); });
    }
  }
}

TEST_CASE_TEMPLATE("a sum is a total and a correction far below it", T, float, double) {
  for (const Pattern<T>& pattern : finite_patterns<T>(kBlock)) {
    CAPTURE(pattern.name);
    const Partial sum = reference(pattern.values);
    CHECK(std::fabs(sum.lo) <= 0x1p-14 * sum.hi);
    CHECK(sum.hi >= 0.0);
  }
}

// Where a non-finite value can hide: the first and last row, the middle, the tail of a row.
std::set<std::size_t> places(std::size_t n) {
  std::set<std::size_t> result;
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}, std::size_t{31}, n / 3, n / 2,
                              n - n % 32, n - 33, n - 2, n - 1}) {
    if (i < n) result.insert(i);
  }
  return result;
}

// Around and beside an infinity or NaN.
template <class T>
std::vector<T> backgrounds() {
  using M = Magnitudes<T>;
  return {0, 1, M::kMost, M::kSubnormal};
}

TEST_CASE_TEMPLATE("an infinity at any place makes the sum infinite", T, float, double) {
  const T infinity = std::numeric_limits<T>::infinity();
  for (const std::size_t n : {1u, 33u, 255u, static_cast<unsigned>(kBlock) - 1u}) {
    for (const std::size_t place : places(n)) {
      for (const T background : backgrounds<T>()) {
        CAPTURE(n);
        CAPTURE(place);
        CAPTURE(background);
        std::vector<T> values(n, background);
        values[place] = place % 2 == 0 ? infinity : -infinity;
        values[n - 1 - place] = values[place];
        for_each_placement(values, [](const Partial& sum) { CHECK(std::isinf(sum.hi)); });
      }
    }
  }
}

TEST_CASE_TEMPLATE("a NaN at any place makes the sum NaN, also beside an infinity", T, float,
                   double) {
  using Limits = std::numeric_limits<T>;
  for (const std::size_t n : {1u, 33u, 255u, static_cast<unsigned>(kBlock) - 1u}) {
    for (const std::size_t place : places(n)) {
      for (T background : backgrounds<T>()) {
        if (background == 1) background = Limits::infinity();
        CAPTURE(n);
        CAPTURE(place);
        CAPTURE(background);
        std::vector<T> values(n, background);
        values[place] = place % 2 == 0 ? Limits::quiet_NaN() : -Limits::signaling_NaN();
        for_each_placement(values, [](const Partial& sum) { CHECK(std::isnan(sum.hi)); });
      }
    }
  }
}

TEST_CASE_TEMPLATE("nothing outside the block counts", T, float, double) {
  const T infinity = std::numeric_limits<T>::infinity();
  for (const std::size_t n : kSizes) {
    CAPTURE(n);
    std::vector<T> values(n + 2, T{0.5});
    values.front() = values.back() = infinity;
    const Elements<T> x(values, 1);
    for_each_isa([&](const KernelTable& table) {
      Partial sum;
      table[dtype_of<T>()].sum_squares(x.data() + sizeof(T), n, &sum);
      CHECK(sum.hi + sum.lo == 0.25 * static_cast<double>(n));
    });
  }
}

}  // namespace
}  // namespace gradclip::test
