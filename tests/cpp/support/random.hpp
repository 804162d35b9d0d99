// Seeded random numbers that are the same with every standard library.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>

namespace gradclip::test {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  // In [low, high].
  template <class Integer = int>
  Integer between(Integer low, Integer high) {
    const auto choices = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
    return static_cast<Integer>(static_cast<std::uint64_t>(low) + engine_() % choices);
  }

  bool one_in(int n) { return between(1, n) == 1; }

  // All 53 bits random, magnitude in [2^low, 2^(high + 1)).
  double positive(int low, int high) {
    const double mantissa = 1.0 + static_cast<double>(engine_() >> 12) * 0x1p-52;
    return std::ldexp(mantissa, between(low, high));
  }
  double real(int low, int high) {
    const double magnitude = positive(low, high);
    return one_in(2) ? -magnitude : magnitude;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace gradclip::test
