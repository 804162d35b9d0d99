// What a clip writes, once the norm and the threshold are known.
#pragma once

#include "core/work.hpp"

namespace gradclip {

enum class NonFinite { kRaise, kSkip, kZero, kPropagate };

struct Clip {
  double eps = 0.0;
  double inv_scale = 1.0;
};

// Writes inv_scale · min(1, max_norm / (norm + eps)) · g, where `norm` is the finite norm of
// inv_scale · g. Writes nothing, in place, if that is g. Returns the factor as a float64, rounded
// down; 1.0 if norm ≤ max_norm.
double write_clipped(const Work& work, double norm, double max_norm, Clip clip) noexcept;

// Writes what `policy` says for a norm of inf or NaN.
void write_nonfinite(const Work& work, double norm, NonFinite policy) noexcept;

}  // namespace gradclip
