// Sums of squares that merge: a block, an array, a list of arrays and a process each give one.
#pragma once

#include <span>

#include "kernels/table.hpp"

namespace gradclip {

// The sum of all, added up in order. An infinity stays one and NaN beats it; zeros are neutral.
Partial merge(std::span<const Partial> parts) noexcept;

// The root of a sum, (value + rest) · 2^exponent, where |rest| is below half an ulp of value.
struct Root {
  double value;
  double rest;
  int exponent;
};
Root root(const Partial& sum) noexcept;

// scale · root, rounded to float64: within 0.53 ulp, or one where it is subnormal; inf when too
// large, and NaN for NaN.
double scaled_root(const Partial& sum, double scale = 1.0) noexcept;

}  // namespace gradclip
