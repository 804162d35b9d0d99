// The factor of a clip: how small it must be, and how each dtype applies it.
#pragma once

#include "kernels/table.hpp"

namespace gradclip {

// mantissa · 2^exponent: a positive number that may lie far outside the range of float64.
struct Factor {
  double mantissa;
  int exponent;
};

// The largest 53-bit φ with φ · (N + eps) ≤ inv_scale · max_norm, where N is an upper bound of
// every inv_scale · ‖g‖ that is computed as `norm`. Then φ·g has a norm of at most max_norm.
// `widened`: some leaves are narrower than float64, so that norms are good to 2^-44 instead of
// one ulp. Numbers are finite; max_norm, norm and inv_scale positive; eps ≥ 0.
Factor clip_factor(double max_norm, double norm, double eps, double inv_scale,
                   bool widened) noexcept;

// The largest float64 at or below the factor.
double to_float64(Factor factor) noexcept;

// The largest value of the dtype's compute type at or below the factor, with its full mantissa
// in two steps where it is subnormal there.
Steps steps(Factor factor, DType dtype) noexcept;

}  // namespace gradclip
