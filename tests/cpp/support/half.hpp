// The 16-bit types by the definition of their formats: a sign, an exponent and a mantissa.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/table.hpp"

namespace gradclip::test {

template <class T>
struct Format;
template <>
struct Format<Float16> {
  static constexpr int kMantissaBits = 10;
  static constexpr int kBias = 15;
};
template <>
struct Format<Bfloat16> {
  static constexpr int kMantissaBits = 7;
  static constexpr int kBias = 127;
};

template <class T>
concept Half = std::same_as<T, Float16> || std::same_as<T, Bfloat16>;

inline constexpr unsigned kSignBit = 0x8000;
template <Half T>
constexpr unsigned kQuietBit = 1u << (Format<T>::kMantissaBits - 1);
// Below it are the magnitudes of numbers, in ascending order, and above it those of NaNs.
template <Half T>
constexpr unsigned kInfinityBits = 0x7fff >> Format<T>::kMantissaBits << Format<T>::kMantissaBits;

template <Half T>
T with_bits(unsigned bits) {
  return {static_cast<std::uint16_t>(bits)};
}

template <Half T>
bool is_nan(T x) {
  return (x.bits & ~kSignBit) > kInfinityBits<T>;
}

// Of a number; for infinity the power of two that would come next.
template <Half T>
double magnitude(unsigned bits) {
  constexpr int kBits = Format<T>::kMantissaBits;
  const int exponent = static_cast<int>(bits >> kBits);
  const unsigned mantissa = bits & ((1u << kBits) - 1);
  if (exponent == 0) return std::ldexp(mantissa, 1 - Format<T>::kBias - kBits);
  return std::ldexp(mantissa + (1u << kBits), exponent - Format<T>::kBias - kBits);
}

// Of all numbers, and infinity's.
template <Half T>
const std::vector<double>& magnitudes() {
  static const std::vector<double> all = [] {
    std::vector<double> result;
    for (unsigned bits = 0; bits <= kInfinityBits<T>; ++bits) result.push_back(magnitude<T>(bits));
    return result;
  }();
  return all;
}

// A NaN keeps its sign and payload and is quiet.
template <Half T>
double decode(T x) {
  const bool negative = (x.bits & kSignBit) != 0;
  const unsigned rest = x.bits & ~kSignBit;
  if (rest <= kInfinityBits<T>) {
    const double size = rest == kInfinityBits<T> ? HUGE_VAL : magnitude<T>(rest);
    return negative ? -size : size;
  }
  const std::uint64_t mantissa = rest - kInfinityBits<T>;
  const std::uint64_t bits = (negative ? std::uint64_t{1} << 63 : 0) | std::uint64_t{0xfff} << 51 |
                             mantissa << (52 - Format<T>::kMantissaBits);
  double result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

// The nearest of its neighbours, of two equally near the even one; a NaN keeps its sign and the
// upper bits of its payload.
template <Half T>
T nearest(double x) {
  const unsigned sign = std::signbit(x) ? kSignBit : 0;
  if (std::isnan(x)) {
    std::uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const std::uint64_t mantissa =
        (bits & (~std::uint64_t{0} >> 12)) >> (52 - Format<T>::kMantissaBits);
    return with_bits<T>(sign | kInfinityBits<T> | kQuietBit<T> | static_cast<unsigned>(mantissa));
  }
  const double size = std::fabs(x);
  const std::vector<double>& all = magnitudes<T>();
  const auto above = std::ranges::upper_bound(all, size);
  if (above == all.end()) return with_bits<T>(sign | kInfinityBits<T>);
  const auto below = static_cast<unsigned>(above - all.begin()) - 1;
  const double middle = (above[-1] + above[0]) / 2;  // exact: neighbours have 11 bits
  const bool up = size > middle || (size == middle && below % 2 == 1);
  return with_bits<T>(sign | (below + up));
}

}  // namespace gradclip::test
