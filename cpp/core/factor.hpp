// The factor of a clip: how small it must be, and how each dtype applies it.
#pragma once

#include <array>

#include "core/fp_environment.hpp"
#include "kernels/table.hpp"

namespace gradclip {

// mantissa · 2^exponent: a positive number that may lie far outside the range of float64.
struct Factor {
  double mantissa;
  int exponent;

  static Factor of(double value) noexcept;
};

// A factor as each dtype applies it.
using DTypeSteps = std::array<Steps, kDTypeCount>;

// The largest 53-bit φ (with eps, up to two ulps smaller) with φ · (N + eps) ≤ inv_scale ·
// max_norm, where N is an upper bound of every inv_scale · ‖g‖ that is computed as `norm`: one ulp
// above norm · (1 + slack). Then φ·g has a norm of at most max_norm. Numbers are finite; max_norm,
// norm and inv_scale positive; eps, slack ≥ 0.
Factor clip_factor(double max_norm, double norm, double eps, double inv_scale,
                   double slack) noexcept;

// The largest float64 at or below the factor.
double to_float64(Factor factor) noexcept;

// The factor in each dtype's compute type, rounded as told, with its full mantissa in two steps
// where it is subnormal there.
DTypeSteps steps(Factor factor, Rounding rounding) noexcept;

// A float64 factor that each dtype rounds to its compute type, subnormal or not.
DTypeSteps one_step(double factor) noexcept;

}  // namespace gradclip
