#include "core/partial.hpp"

#include <cmath>
#include <limits>

namespace gradclip {
namespace {

// Expressed at a lower (coarser) scale. What underflows is below 2^-170 of the sum it joins.
Partial rescaled(Partial p, int scale) noexcept {
  for (; p.scale > scale; --p.scale) {
    p.hi = std::ldexp(p.hi, -2 * kScaleStep);
    p.lo = std::ldexp(p.lo, -2 * kScaleStep);
  }
  return p;
}

// Knuth's TwoSum: hi + lo is exact but for the rounding of the low parts, which are not normalised:
// below 2^-80 of the sum for 100,000 parts.
Partial merge_same_scale(const Partial& a, const Partial& b) noexcept {
  const double hi = a.hi + b.hi;
  const double of_b = hi - a.hi;
  const double error = (a.hi - (hi - of_b)) + (b.hi - of_b);
  return {hi, error + (a.lo + b.lo), a.scale};
}

Partial merge_two(const Partial& a, const Partial& b) noexcept {
  if (a.scale == b.scale) return merge_same_scale(a, b);
  if (a.hi == 0.0) return b;
  if (b.hi == 0.0) return a;
  const int scale = a.scale < b.scale ? a.scale : b.scale;
  return merge_same_scale(rescaled(a, scale), rescaled(b, scale));
}

}  // namespace

Partial merge(std::span<const Partial> parts) noexcept {
  Partial sum;
  for (const Partial& part : parts) sum = merge_two(sum, part);
  return sum;
}

Root root(const Partial& sum) noexcept {
  if (!std::isfinite(sum.hi)) return {sum.hi, 0.0, 0};  // lo is NaN after an infinity
  const double hi = sum.hi + sum.lo;
  const double lo = (sum.hi - hi) + sum.lo;
  if (hi == 0.0) return {0.0, 0.0, 0};
  const double near = std::sqrt(hi);
  const double correction = (std::fma(-near, near, hi) + lo) / (2.0 * near);
  const double value = near + correction;
  return {value, (near - value) + correction, -kScaleStep * sum.scale};
}

double scaled_root(const Partial& sum, double scale) noexcept {
  const Root norm = root(sum);
  // One NaN, whichever operand's payload an instruction set would keep.
  if (std::isnan(norm.value)) return std::numeric_limits<double>::quiet_NaN();
  if (!std::isfinite(norm.value) || (scale == 1.0 && norm.exponent == 0)) return norm.value;
  int exponent = 0;
  const double mantissa = std::frexp(scale, &exponent);
  const double product = mantissa * norm.value;
  const double error = std::fma(mantissa, norm.value, -product) + mantissa * norm.rest;
  return std::ldexp(product + error, exponent + norm.exponent);
}

}  // namespace gradclip
