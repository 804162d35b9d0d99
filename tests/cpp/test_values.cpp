// Bounds for values: the numbers of a dtype that are closest to the limits, and inside.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/values.hpp"
#include "support/numbers.hpp"
#include "support/random.hpp"

namespace gradclip::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The neighbours of x among the numbers of T, infinities too; x itself if it is one.
template <class T>
Bounds around(double x) {
  const double near = to_double(from_double<T>(x));
  if (near == x) return {x, x};
  const auto next = [&](double direction) {
    if constexpr (Half<T>) {
      const std::vector<double>& all = magnitudes<T>();
      const double size = std::isinf(near) ? all.back() : std::fabs(near);
      auto place = std::ranges::lower_bound(all, size);
      const bool outwards = (direction > 0) == (near > 0 || (near == 0 && direction > 0));
      double result;
      if (near == 0) {
        result = std::copysign(all[1], direction);
      } else {
        const double other = outwards ? *(place + 1) : *(place - 1);
        result = std::copysign(other, near);
      }
      return result == magnitude<T>(kInfinityBits<T>)    ? kInfinity
             : result == -magnitude<T>(kInfinityBits<T>) ? -kInfinity
                                                         : result;
    } else {
      return static_cast<double>(std::nextafter(static_cast<T>(near), static_cast<T>(direction)));
    }
  };
  return near > x ? Bounds{next(-kInfinity), near} : Bounds{near, next(kInfinity)};
}

TEST_CASE_TEMPLATE("limits are rounded inward", T, Float16, Bfloat16, float, double) {
  Random random(1);
  for (int round = 0; round < 20'000; ++round) {
    double low = random.real(-150, 130);
    double high = random.real(-150, 130);
    if (random.one_in(5)) high = low + std::ldexp(std::fabs(low), -random.between(5, 30));
    if (random.one_in(20)) low = random.one_in(2) ? -kInfinity : 0.0;
    if (random.one_in(20)) high = kInfinity;
    if (low > high) std::swap(low, high);
    CAPTURE(low);
    CAPTURE(high);
    const Bounds expected{around<T>(low).high, around<T>(high).low};
    const auto bounds = bounds_inside(low, high, dtype_of<T>());
    CHECK(bounds.has_value() == (expected.low <= expected.high));
    if (!bounds) continue;
    CHECK(bounds->low == expected.low);
    CHECK(bounds->high == expected.high);
  }
}

}  // namespace
}  // namespace gradclip::test
