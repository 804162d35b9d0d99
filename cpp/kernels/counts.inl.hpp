// How many numbers of a block are of some kind.
#pragma once

#include "kernels/rows.inl.hpp"

// Zeros that for_each_row adds to fill up the last row.
std::size_t padding(std::size_t n) { return -n % kLanes; }

// Sums of what count(row, k), a vector of ones and zeros, gives for all vectors of all rows.
template <class T, class Count>
std::size_t count_lanes(const std::byte* x, std::size_t n, const Count& count) {
  Vector counts[kVectors];
  fill(counts, Isa::broadcast(0.0));
  for_each_row<T>(x, n, [&](const std::byte* row) {
#pragma GCC unroll 32
    for (std::size_t k = 0; k < kVectors; ++k) counts[k] = Isa::add(counts[k], count(row, k));
  });
  return static_cast<std::size_t>(sum_lanes<double>(counts));
}

// The magnitudes of the k-th vector of a row; of pairs, that of the larger part in either place,
// and NaN if one is.
template <class T, bool kPairs, class I = Isa>
Vector larger_part(const std::byte* row, std::size_t k) {
  const Vector magnitudes = I::abs(load<T>(row, k));
  if constexpr (!kPairs) {
    return magnitudes;
  } else if constexpr (I::kWidth == 1) {
    return I::max(magnitudes, I::abs(load<T>(row, k ^ 1)));
  } else {
    return I::max(magnitudes, I::swap_pairs(magnitudes));
  }
}

template <class T, bool kPairs>
void count_specials(const std::byte* x, std::size_t n, Counts* counts) {
  constexpr std::size_t kNumbers = kPairs ? 2 : 1;
  const auto above = [&](double bound) {
    return count_lanes<T>(x, n,
                          [bounds = Isa::broadcast(bound)](const std::byte* row, std::size_t k) {
                            return Isa::above(larger_part<T, kPairs>(row, k), bounds);
                          });
  };
  const std::size_t not_nan = above(-1.0) - padding(n);
  counts->nans = (n - not_nan) / kNumbers;
  counts->zeros = (not_nan - above(0.0)) / kNumbers;
  counts->infs = above(kLargest) / kNumbers;
}
