// What blocks add to a norm, merged: a block, an array, a list of arrays and a process each give a
// partial.
#pragma once

#include <span>

#include "core/order.hpp"
#include "kernels/table.hpp"

namespace gradclip {

// All of them together, added up in order. An infinity stays one and NaN beats it; zeros are
// neutral.
Partial merge(std::span<const Partial> parts, Order order) noexcept;

// The norm, (value + rest) · 2^exponent, where |rest| is below half an ulp of value.
struct Root {
  double value;
  double rest;
  int exponent;
};
Root root(const Partial& sum, Order order) noexcept;

// scale · root, rounded to float64: order 2 within 0.53 ulp, or one where it is subnormal; inf
// when too large, and NaN for NaN.
double scaled_root(const Partial& sum, Order order, double scale = 1.0) noexcept;

}  // namespace gradclip
