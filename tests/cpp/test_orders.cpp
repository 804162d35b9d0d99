// Merging and roots for the orders other than 2.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/partial.hpp"
#include "support/exact.hpp"
#include "support/memory.hpp"
#include "support/partials.hpp"
#include "support/random.hpp"

namespace gradclip::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kMost = std::numeric_limits<double>::max();
constexpr Order kOne = Order::of(1.0);
constexpr Order kMax = Order::of(kInfinity);
constexpr Order kCube = Order::of(3.0);

using Parts = std::vector<Partial>;

TEST_CASE("an order is told from its p") {
  CHECK(Order::of(1.0).kind == OrderKind::kOne);
  CHECK(Order::of(2.0).kind == OrderKind::kTwo);
  CHECK(Order::of(kInfinity).kind == OrderKind::kMax);
  for (const double p :
       {5e-324, 0.5, std::nextafter(1.0, 2.0), std::nextafter(2.0, 1.0), 3.0, kMost}) {
    CHECK(Order::of(p).kind == OrderKind::kPower);
    CHECK(Order::of(p).p == p);
  }
}

// As blocks give them: as far down as a sum is scaled, and what others have above them.
Parts random_parts(Random& random) {
  Parts parts;
  for (int i = random.between(2, 8); i > 0; --i)
    parts.push_back(random_partial(random, random_unit(random)));
  return parts;
}

TEST_CASE("sums of magnitudes in different units merge to 2^-100") {
  Random random(1);
  for (int round = 0; round < 2000; ++round) {
    const Parts parts = random_parts(random);
    Exact exact = 0;
    for (const Partial& part : parts) exact += value(part, kOne);
    const Partial sum = merge(parts, kOne);
    CAPTURE(sum.hi);
    CAPTURE(sum.unit);
    CHECK(std::isfinite(sum.hi));
    CHECK(relative_error(value(sum, kOne), exact) <= 0x1p-100);
  }
}

TEST_CASE("the largest of maxima in different units is one of them") {
  Random random(2);
  for (int round = 0; round < 2000; ++round) {
    Parts parts = random_parts(random);
    Exact exact = 0;
    for (Partial& part : parts) {
      part.lo = 0.0;
      exact = std::max(exact, value(part, kMax));
    }
    const Partial most = merge(parts, kMax);
    CHECK((value(most, kMax) == exact));
    CHECK(scaled_root(most, kMax) == static_cast<double>(exact));
  }
}

TEST_CASE("powers in units of their own merge to 2^-50") {
  Random random(3);
  for (const double p : {0.5, 1.5, 3.0, 7.5, 40.0}) {
    const Order order = Order::of(p);
    for (int round = 0; round < 1000; ++round) {
      Parts parts;
      long double most = 0.0;
      for (int i = random.between(1, 8); i > 0; --i) {
        const double hi = random.positive(0, 13);
        parts.push_back({hi, hi * random.real(-60, -54), random.positive(-4, 4) * 1e-200});
        most = std::max<long double>(most, parts.back().unit);
      }
      long double sum = 0;
      for (const auto& [hi, lo, unit] : parts) {
        sum += (static_cast<long double>(hi) + lo) *
               std::pow(unit / most, static_cast<long double>(p));
      }
      const long double exact = most * std::pow(sum, 1 / static_cast<long double>(p));
      CAPTURE(p);
      CAPTURE(round);
      CHECK(relative_error(value(root(merge(parts, order), order)), static_cast<Exact>(exact)) <=
            0x1p-50 * std::fmax(1.0, 1.0 / p));
    }
  }
}

TEST_CASE("zeros are neutral in any unit and place, for every order") {
  Random random(4);
  for (const Order order : {kOne, kMax, kCube, Order::of(0.5)}) {
    for (const double unit : {0x1p-1074, 0x1p-600, 1.0, 0x1p600, kMost}) {
      const Partial zero{0.0, 0.0, unit};
      const Partial a{3.0, 0.0, 0x1p-600};
      const Partial b{5.0, 0.0, 0x1p-600};
      const Partial sum = merge(Parts{a, b}, order);
      for (const Parts& parts : {Parts{zero, a, b}, Parts{a, zero, b}, Parts{a, b, zero}}) {
        const Partial same = merge(parts, order);
        CHECK(bits(same.hi) == bits(sum.hi));
        CHECK(bits(same.lo) == bits(sum.lo));
        CHECK(bits(same.unit) == bits(sum.unit));
      }
      CHECK(scaled_root(merge(Parts{zero, zero}, order), order) == 0.0);
    }
    CHECK(bits(scaled_root(merge({}, order), order)) == 0);
  }
}

TEST_CASE("NaN beats infinity and infinity beats numbers, for every order") {
  const Partial infinity{kInfinity, 0.0, 1.0};
  const Partial nan{kNaN, 0.0, 1.0};
  for (const Order order : {kOne, kMax, kCube, Order::of(0.5), Order::of(5e-324)}) {
    CAPTURE(order.p);
    Parts parts{{1.0, 0.0, 0x1p-600}, infinity, {3.0, 0.0, 1.0}, {2.0, 0.0, 0x1p600}};
    for (int i = 0; i < 4; ++i) {
      std::rotate(parts.begin(), parts.begin() + 1, parts.end());
      CHECK(merge(parts, order).hi == kInfinity);
      CHECK(scaled_root(merge(parts, order), order, 0.5) == kInfinity);
      for (std::ptrdiff_t place = 0; place <= 4; ++place) {
        Parts with_nan = parts;
        with_nan.insert(with_nan.begin() + place, nan);
        CHECK(std::isnan(merge(with_nan, order).hi));
        CHECK(bits(scaled_root(merge(with_nan, order), order, 0.5)) == bits(kNaN));
      }
    }
  }
}

}  // namespace
}  // namespace gradclip::test
