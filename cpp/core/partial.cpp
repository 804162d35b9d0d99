#include "core/partial.hpp"

#include <cmath>
#include <limits>
#include <numbers>

namespace gradclip {
namespace {

// The largest unit. A smaller one may be too small for the others' terms, and zeros have any.
double common_unit(std::span<const Partial> parts) noexcept {
  double unit = 0.0;
  for (const Partial& part : parts) {
    if (part.hi != 0.0 && part.unit > unit) unit = part.unit;
  }
  return unit > 0.0 ? unit : 1.0;
}

// Expressed in a larger unit. What underflows is below 2^-170 of a sum of squares that it joins.
Partial in_unit(const Partial& part, double unit, Order order) noexcept {
  if (part.hi == 0.0 || !std::isfinite(part.hi)) return part;  // zero may have a larger unit
  const double ratio = part.unit / unit;
  double once = ratio;
  if (order.kind == OrderKind::kPower) {  // where p is small, also if the ratio is subnormal
    once = order.p < 0.5 ? std::pow(part.unit, order.p) / std::pow(unit, order.p)
                         : std::pow(ratio, order.p);
  }
  const double twice = order.kind == OrderKind::kTwo ? ratio : 1.0;
  return {part.hi * once * twice, part.lo * once * twice, unit};
}

// Knuth's TwoSum: hi + lo is exact but for the rounding of the low parts, which are not normalised:
// below 2^-80 of the sum for 100,000 parts.
constexpr auto add = [](const Partial& part, Partial& sum) {
  const double hi = sum.hi + part.hi;
  const double of_part = hi - sum.hi;
  const double error = (sum.hi - (hi - of_part)) + (part.hi - of_part);
  sum.lo = error + (sum.lo + part.lo);
  sum.hi = hi;
};

constexpr auto take_larger = [](const Partial& part, Partial& most) {
  if (part.hi > most.hi || std::isnan(part.hi)) most.hi = part.hi;  // nothing exceeds a NaN
};

Partial merge_in_common_unit(std::span<const Partial> parts, Order order) noexcept {
  Partial result{0.0, 0.0, common_unit(parts)};
  for (const Partial& part : parts) {
    const Partial same = part.unit == result.unit ? part : in_unit(part, result.unit, order);
    order.kind == OrderKind::kMax ? take_larger(same, result) : add(same, result);
  }
  return result;
}

// (hi + lo)^(1/p) where that is past the largest float64. Its unit may bring it into range again.
Root large_power_root(double hi, double lo, double p) noexcept {
  int power = 0;
  const double mantissa = std::frexp(hi, &power);
  const double log2 = power / p;
  if (!(log2 < std::numeric_limits<int>::max() / 2)) {
    return {std::numeric_limits<double>::infinity(), 0.0, 0};
  }
  const double log2_of_rest = std::log2(mantissa) + lo / hi * std::numbers::log2e;
  const double rest = (std::fma(-log2, p, power) + log2_of_rest) / p;
  const double whole = std::floor(log2);
  const double fraction = (log2 - whole) + rest;
  const double more = std::floor(fraction);
  return {std::exp2(fraction - more), 0.0, static_cast<int>(whole + more)};
}

// (hi + lo)^(1/p).
Root power_root(double hi, double lo, double p) noexcept {
  if (hi == 1.0 && lo == 0.0) return {1.0, 0.0, 0};  // for any p, also if 1/p is infinite
  const double exponent = 1.0 / p;
  const double near = std::pow(hi, exponent);
  if (!std::isfinite(near)) return large_power_root(hi, lo, p);
  // What the rounding of 1/p and the low part change.
  const double rest_of_exponent = std::fma(-exponent, p, 1.0) / p;
  const double correction = near * (rest_of_exponent * std::log(hi) + exponent * lo / hi);
  const double value = near + correction;
  return {value, (near - value) + correction, 0};
}

Root root_of(double hi, double lo, Order order) noexcept {
  switch (order.kind) {
    case OrderKind::kOne:
    case OrderKind::kMax:
      return {hi, lo, 0};
    case OrderKind::kTwo: {
      const double near = std::sqrt(hi);
      const double correction = (std::fma(-near, near, hi) + lo) / (2.0 * near);
      const double value = near + correction;
      return {value, (near - value) + correction, 0};
    }
    case OrderKind::kPower:
      return power_root(hi, lo, order.p);
  }
  __builtin_unreachable();
}

Root times(const Root& root, double factor) noexcept {
  if (factor == 1.0 || !std::isfinite(root.value)) return root;
  if (std::isinf(factor)) return {factor, 0.0, 0};
  int exponent = 0;
  const double mantissa = std::frexp(factor, &exponent);
  const double product = mantissa * root.value;
  const double error = std::fma(mantissa, root.value, -product) + mantissa * root.rest;
  const double value = product + error;
  return {value, (product - value) + error, root.exponent + exponent};
}

}  // namespace

Partial merge(std::span<const Partial> parts, Order order) noexcept {
  Partial result;
  const auto join_all = [&](auto join) {
    auto part = parts.begin();
    for (; part != parts.end() && part->unit == result.unit; ++part) join(*part, result);
    return part == parts.end();
  };
  const bool same_unit = order.kind == OrderKind::kMax ? join_all(take_larger) : join_all(add);
  return same_unit ? result : merge_in_common_unit(parts, order);
}

Root root(const Partial& sum, Order order) noexcept {
  if (!std::isfinite(sum.hi)) return {sum.hi, 0.0, 0};  // lo is NaN after an infinity
  const double hi = sum.hi + sum.lo;
  if (hi == 0.0) return {0.0, 0.0, 0};
  return times(root_of(hi, (sum.hi - hi) + sum.lo, order), sum.unit);
}

double scaled_root(const Partial& sum, Order order, double scale) noexcept {
  const Root norm = times(root(sum, order), scale);
  // One NaN, whichever operand's payload an instruction set would keep.
  if (std::isnan(norm.value)) return std::numeric_limits<double>::quiet_NaN();
  return norm.exponent == 0 ? norm.value : std::ldexp(norm.value, norm.exponent);
}

}  // namespace gradclip
