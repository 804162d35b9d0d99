// Sums of terms.
#pragma once

#include "kernels/rows.inl.hpp"
#include "kernels/terms.inl.hpp"

// ---- float64: error-free sums against a bias.
//
// Lanes start from a bias A ≥ Σ of the terms, a power of two. Then t = A + term and q = t − A is
// exact, and term − q is what t lost; these losses add up in `lo`. What the lanes hold above the
// bias are multiples of ulp(A), at most A in all, so adding up the lanes is exact too. The error
// is that of `lo`: 2^-82·A for a full block.

struct Sums {
  double hi;
  double lo;
};

// With or without a scale, a vector.
template <class Terms, class A, class... Scale>
Sums biased_sums(const std::byte* x, std::size_t n, const A& ahead, double bias, Scale... scale) {
  const Vector biases = Isa::broadcast(bias);
  // Lanes i and i + 16 share a low part: 8 + 4 accumulators leave 4 of 16 registers to AVX2.
  constexpr std::size_t kLows = kVectors / 2;
  Vector high[kVectors];
  Vector low[kLows];
  fill(high, biases);
  fill(low, Isa::broadcast(0.0));
  for_each_row<double>(x, n, ahead, [&](const std::byte* row) {
#pragma GCC unroll 32
    for (std::size_t k = 0; k < kVectors; ++k) {
      const Vector value = Terms::template value<double>(row, k, scale...);
      const Vector t = Terms::sum(value, high[k]);
      const Vector q = Isa::sub(t, high[k]);
      high[k] = t;
      low[k % kLows] = Isa::add(low[k % kLows], Terms::loss(value, q));
    }
  });
#pragma GCC unroll 32
  for (std::size_t k = 0; k < kVectors; ++k) high[k] = Isa::sub(high[k], biases);
  return {sum_lanes<double>(high), sum_lanes<double>(low)};
}

constexpr int kGreatestBias = 975;

// A guess at the bias from four of the block's rows: reading all of them first would take half
// as long again. A short block gives one row: 1,000 blocks of 256 take 16 % less than with four.
// Leaves room for the block to be 2^10 times larger than they say.
template <class Terms>
int guess_bias(const std::byte* x, std::size_t rows) {
  Vector sums[kVectors];
  fill(sums, Isa::broadcast(0.0));
  const int log2_samples = rows < 64 ? 0 : 2;
  for (std::size_t i = 0; i < 1u << log2_samples; ++i) {
    const std::byte* row = x + (i * rows >> log2_samples) * kLanes * sizeof(double);
#pragma GCC unroll 32
    for (std::size_t k = 0; k < kVectors; ++k) {
      sums[k] = Terms::sum(Terms::template value<double>(row, k), sums[k]);
    }
  }
  return exponent_above(sum_lanes<double>(sums)) + log2_above(rows) - log2_samples + 10;
}

// The largest |value(row, k)| of all vectors of all rows; NaN if one is.
template <class T, class A, class Value>
double largest(const std::byte* x, std::size_t n, const A& ahead, const Value& value) {
  Vector most[kVectors];
  fill(most, Isa::broadcast(0.0));
  for_each_row<T>(x, n, ahead, [&](const std::byte* row) {
#pragma GCC unroll 32
    for (std::size_t k = 0; k < kVectors; ++k) {
      most[k] = Isa::max(Isa::abs(value(row, k)), most[k]);
    }
  });
  return max_lane(most);
}

template <class T>
double max_abs(const std::byte* x, std::size_t n, const std::byte* end = nullptr) {
  return with_ahead<T>(x, n, end, [&](const auto& ahead) {
    return largest<T>(x, n, ahead,
                      [](const std::byte* row, std::size_t k) { return load<T>(row, k); });
  });
}

// The power of two by which squares of numbers up to `most` are brought into range.
double scale_for_squares(double most) {
  return power_of_two(most > power_of_two(480)    ? -kUnitStep
                      : most < power_of_two(-440) ? kUnitStep
                                                  : 0);
}

// The sure way, with the bias and the scale from the largest element.
template <class Terms>
Partial sum_from_max(const std::byte* x, std::size_t n) {
  const double most = max_abs<double>(x, n);
  const Ahead ahead(x, n, sizeof(double));
  const double scale = scale_for_squares(most);
  const double scaled = most * scale;
  const bool finite_and_not_zero = scaled > 0.0 && scaled <= power_of_two(1000);
  if (!finite_and_not_zero) return {biased_sums<Terms>(x, n, ahead, 1.0).hi, 0.0, 1.0};
  const int greatest_term = Terms::kPower * exponent_above(scaled) + Terms::kPairs;
  const double bias = power_of_two(greatest_term + log2_above(n));
  const Sums sums = scale == 1.0 ? biased_sums<Terms>(x, n, ahead, bias)
                                 : biased_sums<Terms>(x, n, ahead, bias, Isa::broadcast(scale));
  return {sums.hi, sums.lo, 1.0 / scale};
}

template <class Terms>
Partial sum_float64(const std::byte* x, std::size_t n, const std::byte* end) {
  if (n >= kLanes) {
    const int exponent = guess_bias<Terms>(x, n / kLanes);
    if (Terms::kLeastBias <= exponent && exponent <= kGreatestBias) {
      const double bias = power_of_two(exponent);
      const Sums sums = with_ahead<double>(
          x, n, end, [&](const auto& ahead) { return biased_sums<Terms>(x, n, ahead, bias); });
      // False for NaN. Above the bias a lane may have lost more than `lo` can say. Below 2^-18 of
      // it there is none, as the samples are in it: 2^-82·A is far below half an ulp of the root.
      if (sums.hi <= bias) return {sums.hi, sums.lo, 1.0};
    }
  }
  return sum_from_max<Terms>(x, n);
}

// ---- narrower types: squares and magnitudes are exact in float64, so that plain sums of 512
// terms are good to 2^-44.

template <class T, class Terms, class A>
double sum_plainly(const std::byte* x, std::size_t n, const A& ahead) {
  Vector sums[kVectors];
  fill(sums, Isa::broadcast(0.0));
  for_each_row<T>(x, n, ahead, [&sums](const std::byte* row) {
#pragma GCC unroll 32
    for (std::size_t k = 0; k < kVectors; ++k) {
      sums[k] = Terms::add(Terms::template value<T>(row, k), sums[k]);
    }
  });
  return sum_lanes<T>(sums);
}

template <class T, class Terms>
void sum(const std::byte* x, std::size_t n, double, const std::byte* end, Partial* partial) {
  if constexpr (sizeof(T) == sizeof(double)) {
    *partial = sum_float64<Terms>(x, n, end);
  } else {
    partial->hi = with_ahead<T>(
        x, n, end, [&](const auto& ahead) { return sum_plainly<T, Terms>(x, n, ahead); });
    partial->lo = 0.0;
    partial->unit = 1.0;
  }
  if constexpr (Terms::kPairs) {
    partial->hi *= 0.5;
    partial->lo *= 0.5;
  }
}
