// What kind of number a float64 is, told from its bits.
//
// Outside of the regions that FpEnvironment guards, a comparison would take subnormals for zero if
// the caller does so, and raise the caller's sticky flags if it does not.
#pragma once

#include <bit>
#include <cstdint>

namespace gradclip {

// Ordered as the magnitudes are, infinity above finite numbers and NaN on top.
constexpr std::uint64_t magnitude_bits(double x) noexcept {
  return std::bit_cast<std::uint64_t>(x) & ~(std::uint64_t{1} << 63);
}

inline constexpr std::uint64_t kInfinityBits = 0x7ff0'0000'0000'0000;

constexpr bool is_nan(double x) noexcept { return magnitude_bits(x) > kInfinityBits; }
constexpr bool is_inf(double x) noexcept { return magnitude_bits(x) == kInfinityBits; }
constexpr bool is_finite(double x) noexcept { return magnitude_bits(x) < kInfinityBits; }
constexpr bool is_zero(double x) noexcept { return magnitude_bits(x) == 0; }
// −0.0 is not, a negative NaN is.
constexpr bool is_negative(double x) noexcept {
  return std::bit_cast<std::uint64_t>(x) >> 63 != 0 && !is_zero(x);
}

}  // namespace gradclip
