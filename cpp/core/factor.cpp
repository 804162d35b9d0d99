#include "core/factor.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gradclip {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// An upper bound of every true norm that is computed as `norm`.
Factor upper_bound(double norm, double slack) noexcept {
  const bool large = norm > 1.0;  // so that nothing overflows
  double bound = large ? norm * 0.5 : norm;
  bound *= 1.0 + slack;
  Factor result = Factor::of(std::nextafter(bound, kInfinity));
  result.exponent += large;
  return result;
}

Factor sum_rounded_up(Factor a, Factor b) noexcept {
  const int exponent = a.exponent > b.exponent ? a.exponent : b.exponent;
  const double sum =
      std::ldexp(a.mantissa, a.exponent - exponent) + std::ldexp(b.mantissa, b.exponent - exponent);
  Factor result = Factor::of(std::nextafter(sum, kInfinity));
  result.exponent += exponent;
  return result;
}

// The sign of p − q·d is that of the exact value: the fma is exact for q near p/d.
double remainder(double q, double d, double p, double p_rest) noexcept {
  return std::fma(-q, d, p) + p_rest;
}

// The largest float64 mantissa at or below x·y/d.
Factor quotient_rounded_down(Factor x, Factor y, Factor d) noexcept {
  const double product = x.mantissa * y.mantissa;
  const double rest = std::fma(x.mantissa, y.mantissa, -product);
  double q = product / d.mantissa;
  q += remainder(q, d.mantissa, product, rest) / d.mantissa;
  if (remainder(q, d.mantissa, product, rest) < 0.0) q = std::nextafter(q, 0.0);
  return {q, x.exponent + y.exponent - d.exponent};
}

// mantissa · 2^exponent as a T.
template <class T>
T rounded(Factor factor, Rounding rounding) noexcept {
  const auto value = static_cast<T>(std::ldexp(factor.mantissa, factor.exponent));
  if (rounding == Rounding::kNearest) return value;
  // Compared at the factor's own magnitude, since either conversion may have rounded up.
  const double back = std::ldexp(static_cast<double>(value), -factor.exponent);
  return back > factor.mantissa ? std::nextafter(value, T{0}) : value;
}

// A subnormal factor is lifted to the least normal binade, so that it has its full mantissa and
// no product overflows, and taken down again by a power of two of the type.
template <class T>
Steps steps_as(Factor factor, Rounding rounding) noexcept {
  using Limits = std::numeric_limits<T>;
  constexpr int kLeastNormal = Limits::min_exponent - 1;
  constexpr int kMostLift = Limits::digits - Limits::min_exponent;  // 2^-149 and 2^-1074
  const int below = kLeastNormal - (factor.exponent + std::ilogb(factor.mantissa));
  const int lift = std::clamp(below, 0, kMostLift);
  factor.exponent += lift;
  return {rounded<T>(factor, rounding), std::ldexp(1.0, -lift)};
}

}  // namespace

Factor Factor::of(double value) noexcept {
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);
  return {mantissa, exponent};
}

Factor clip_factor(double max_norm, double norm, double eps, double inv_scale,
                   double slack) noexcept {
  const Factor bound = upper_bound(norm, slack);
  return quotient_rounded_down(Factor::of(max_norm), Factor::of(inv_scale),
                               eps == 0.0 ? bound : sum_rounded_up(bound, Factor::of(eps)));
}

double to_float64(Factor factor) noexcept { return rounded<double>(factor, Rounding::kTowardZero); }

DTypeSteps steps(Factor factor, Rounding rounding) noexcept {
  static_assert(kDTypeCount == 4, "each dtype has its steps here");
  DTypeSteps result;
  const Steps of_float32 = steps_as<float>(factor, rounding);
  for (const DType dtype : {DType::kFloat16, DType::kBfloat16, DType::kFloat32}) {
    result[index(dtype)] = of_float32;
  }
  result[index(DType::kFloat64)] = steps_as<double>(factor, rounding);
  return result;
}

DTypeSteps one_step(double factor) noexcept {
  DTypeSteps result;
  result.fill({factor, 1.0});
  return result;
}

}  // namespace gradclip
