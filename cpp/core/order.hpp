// Which norm: the p of (Σ|x|^p)^(1/p).
#pragma once

#include <cstddef>

#include "core/float_bits.hpp"
#include "kernels/table.hpp"

namespace gradclip {

struct Order {
  OrderKind kind = OrderKind::kTwo;
  double p = 2.0;

  // For a positive p.
  static constexpr Order of(double p) noexcept {
    if (magnitude_bits(p) == magnitude_bits(1.0)) return {OrderKind::kOne, p};
    if (magnitude_bits(p) == magnitude_bits(2.0)) return {OrderKind::kTwo, p};
    if (!is_finite(p)) return {OrderKind::kMax, p};
    return {OrderKind::kPower, p};
  }

  // How many times as long as reading an array its norm takes: a power for each element.
  constexpr std::size_t cost() const noexcept { return kind == OrderKind::kPower ? 64 : 1; }
};

}  // namespace gradclip
