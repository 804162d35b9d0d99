// Clipping each number by itself.
#pragma once

#include <array>
#include <optional>

#include "core/work.hpp"

namespace gradclip {

// Numbers of a dtype, low ≤ high.
struct Bounds {
  double low;
  double high;
};

// The least and the greatest number of the dtype in [low, high], which may be infinite; none if
// there is no number in it.
std::optional<Bounds> bounds_inside(double low, double high, DType dtype) noexcept;

// Writes low for what is below it and high for what is above that, by the bounds of each dtype;
// NaN is neither. Returns how many numbers that changed. In place, blocks without such numbers are
// not written.
std::size_t clip_values(const Work& work, const std::array<Bounds, kDTypeCount>& bounds) noexcept;

}  // namespace gradclip
