// Sums of squares that merge: a block, an array, a list of arrays and a process each give one.
#pragma once

#include "kernels/table.hpp"

namespace gradclip {

// The sum of both. An infinity stays one and NaN beats it; a zero is neutral.
Partial merge(const Partial& a, const Partial& b) noexcept;

// The root of a sum, (value + rest) · 2^exponent, where |rest| is below half an ulp of value.
struct Root {
  double value;
  double rest;
  int exponent;
};
Root root(const Partial& sum) noexcept;

// scale · root, rounded to float64: within 0.53 ulp, inf when too large, and NaN for NaN.
double scaled_root(const Partial& sum, double scale = 1.0) noexcept;

}  // namespace gradclip
