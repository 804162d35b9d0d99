// Arithmetic wide enough to judge float64 results by: products of two float64 are exact, and
// sums of a block's worth of them good to 2^-98.
#pragma once

#include <cmath>
#include <limits>
#include <span>

#include "core/factor.hpp"
#include "core/partial.hpp"
#include "kernels/table.hpp"
#include "support/numbers.hpp"

namespace gradclip::test {

#if defined(__SIZEOF_FLOAT128__)
using Exact = __float128;
#else
using Exact = long double;
static_assert(std::numeric_limits<long double>::digits >= 113,
              "the C++ tests need a type of 113 bits");
#endif

// For |exponent| ≤ 16,000.
inline Exact power_of_two(int exponent) {
  Exact result = 1;
  Exact power = exponent < 0 ? 0.5 : 2.0;
  for (int rest = exponent < 0 ? -exponent : exponent; rest > 0; rest /= 2) {
    if (rest % 2 == 1) result *= power;
    power *= power;
  }
  return result;
}

inline Exact absolute(Exact x) { return x < 0 ? -x : x; }

// What a partial stands for: Σ|x|, Σx² or the largest |x|.
inline Exact value(const Partial& p, Order order = Order{}) {
  const Exact sum = static_cast<Exact>(p.hi) + static_cast<Exact>(p.lo);
  const Exact unit = static_cast<Exact>(p.unit);
  return order.kind == OrderKind::kTwo ? sum * unit * unit : sum * unit;
}

inline Exact value(const Root& root) {
  return (static_cast<Exact>(root.value) + static_cast<Exact>(root.rest)) *
         power_of_two(root.exponent);
}

inline Exact value(const Factor& factor) {
  return static_cast<Exact>(factor.mantissa) * power_of_two(factor.exponent);
}

template <class T>
Exact exact_sum_of_squares(std::span<const T> x) {
  Exact sum = 0;
  for (const T element : x) {
    const Exact exact = static_cast<Exact>(to_double(element));
    sum += exact * exact;
  }
  return sum;
}

template <class T>
Exact exact_sum_of_magnitudes(std::span<const T> x) {
  Exact sum = 0;
  for (const T element : x) sum += static_cast<Exact>(std::fabs(to_double(element)));
  return sum;
}

// |computed − exact| / exact, and 0 for 0 where 0 is right.
inline double relative_error(Exact computed, Exact exact) {
  const Exact difference = absolute(computed - exact);
  return static_cast<double>(difference == 0 ? 0 : difference / exact);
}

// The distance of x's neighbours: 2^-1074 for a subnormal one.
inline Exact ulp(double x) {
  using Limits = std::numeric_limits<double>;
  int exponent = 0;
  std::frexp(x, &exponent);
  return power_of_two((exponent < Limits::min_exponent ? Limits::min_exponent : exponent) -
                      Limits::digits);
}

// Is `root`, finite and not negative, within so many of its ulps of √square?
inline bool is_root_within(double root, Exact square, double ulps) {
  const Exact low = static_cast<Exact>(root) - ulp(root) * static_cast<Exact>(ulps);
  const Exact high = static_cast<Exact>(root) + ulp(root) * static_cast<Exact>(ulps);
  return (low <= 0 || low * low <= square) && square <= high * high;
}

// a + b ≤ c, decided without rounding, for numbers that are not negative.
inline bool sum_is_at_most(Exact a, Exact b, Exact c) {
  const Exact sum = a + b;
  const Exact of_b = sum - a;
  const Exact error = (a - (sum - of_b)) + (b - of_b);
  return (sum - c) + error <= 0;
}

}  // namespace gradclip::test
