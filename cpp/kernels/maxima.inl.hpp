// The largest magnitude or modulus, and sums of any other power, relative to it.
#pragma once

#include "kernels/rows.inl.hpp"
#include "kernels/sums.inl.hpp"
#include "kernels/terms.inl.hpp"

template <class T>
void max_of_reals(const std::byte* x, std::size_t n, double, const std::byte* end,
                  Partial* partial) {
  *partial = {max_abs<T>(x, n, end), 0.0, 1.0};
}

template <class T>
void max_of_pairs(const std::byte* x, std::size_t n, double, const std::byte*, Partial* partial) {
  double scale = 1.0;
  if constexpr (sizeof(T) == sizeof(double)) scale = scale_for_squares(max_abs<T>(x, n));
  const Vector scales = Isa::broadcast(scale);
  const auto modulus = [&](const std::byte* row, std::size_t k) {
    return Moduli::value<T>(row, k, scales);
  };
  *partial = {largest<T>(x, n, Ahead(x, n, sizeof(T)), modulus), 0.0, 1.0 / scale};
}

// |x| of every lane of a row; of pairs, scale · |z| in the first lane and 0 in the second one.
template <class T, bool kPairs>
void magnitudes(const std::byte* row, double scale, double (&lanes)[kLanes]) {
  for (std::size_t k = 0; k < kVectors; ++k) {
    const Vector values = Isa::abs(load<T>(row, k));
    __builtin_memcpy(lanes + k * Isa::kWidth, &values, sizeof values);
  }
  if constexpr (kPairs) {
    for (std::size_t i = 0; i < kLanes; i += 2) {
      lanes[i] = __builtin_hypot(lanes[i] * scale, lanes[i + 1] * scale);
      lanes[i + 1] = 0.0;
    }
  }
}

template <class T, bool kPairs>
double largest_magnitude(const std::byte* x, std::size_t n, double scale) {
  double most = 0.0;
  for_each_row<T>(x, n, [&](const std::byte* row) {
    double lanes[kLanes];
    magnitudes<T, kPairs>(row, scale, lanes);
    for (const double lane : lanes) most = lane > most ? lane : most;
  });
  return most;
}

// Σ|x/unit|^p, where the unit is the largest |x|, so that terms are at most 1, and 1 for that one.
// Lane by lane: the C library's pow takes 10 ns, whatever is around it.
template <class T, bool kPairs>
void sum_powers(const std::byte* x, std::size_t n, double p, const std::byte*, Partial* partial) {
  const double most = max_abs<T>(x, n);
  const bool finite_and_not_zero = most > 0.0 && most <= kLargest;
  if (!finite_and_not_zero) {
    *partial = {most, 0.0, 1.0};
    return;
  }
  // Moduli as large as can be: they must not overflow, and quiet ones count where p is small.
  const int lift = 1000 - exponent_above(most);
  const double scale = kPairs ? power_of_two(lift < kUnitStep ? lift : kUnitStep) : 1.0;
  double divisor = most * scale;
  if constexpr (kPairs) {
    // A modulus that is no normal float64 is no good unit, but then the largest part is, if terms
    // may be up to 2^(p/2).
    const double modulus = largest_magnitude<T, kPairs>(x, n, scale);
    const double unit = modulus / scale;
    const bool normal = unit >= 0x1p-1022 && unit <= kLargest;
    if (normal || p > 1000.0) divisor = modulus;
  }
  const bool divide_last = p < 0.5;  // for ratios that are subnormal, but not their power
  const double power_of_divisor = __builtin_pow(divisor, p);
  Vector high[kVectors];
  Vector low[kVectors];
  fill(high, Isa::broadcast(0.0));
  fill(low, Isa::broadcast(0.0));
  for_each_row<T>(x, n, [&](const std::byte* row) {
    double lanes[kLanes];
    magnitudes<T, kPairs>(row, scale, lanes);
    for (double& lane : lanes) {
      lane = divide_last ? __builtin_pow(lane, p) / power_of_divisor
                         : __builtin_pow(lane / divisor, p);
    }
    for (std::size_t k = 0; k < kVectors; ++k) {  // Knuth's TwoSum
      Vector term;
      __builtin_memcpy(&term, lanes + k * Isa::kWidth, sizeof term);
      const Vector total = Isa::add(high[k], term);
      const Vector of_term = Isa::sub(total, high[k]);
      const Vector lost =
          Isa::add(Isa::sub(high[k], Isa::sub(total, of_term)), Isa::sub(term, of_term));
      low[k] = Isa::add(low[k], lost);
      high[k] = total;
    }
  });
  *partial = {sum_lanes<T>(high), sum_lanes<T>(low), divisor / scale};
}
