// What the norms are made of: x², |x|, or the modulus |z| of a pair (x, y).
//
// `value` is what a term is made of, from a vector of a row that is scaled, if at all, by a power
// of two; `add(value, total)` adds the term for T narrower than float64. With `sum` and `loss`
// nothing is lost as long as `high` is at least the term: high = sum(value, high) gains a multiple
// of its ulp, and loss(value, gain) is what it lost.
#pragma once

#include "kernels/rows.inl.hpp"

struct Squares {
  static constexpr int kPower = 2;
  static constexpr bool kPairs = false;
  static constexpr int kLeastBias = -866;  // neither sums nor losses are subnormal

  template <class T, class... Scale>
  static Vector value(const std::byte* row, std::size_t k, Scale... scale) {
    return load<T>(row, k, scale...);
  }
  static Vector add(Vector x, Vector total) { return Isa::add_square(x, total); }
  static Vector sum(Vector x, Vector high) { return Isa::fma(x, x, high); }
  static Vector loss(Vector x, Vector gain) { return Isa::fms(x, x, gain); }
};

struct Magnitudes {
  static constexpr int kPower = 1;
  static constexpr bool kPairs = false;
  static constexpr int kLeastBias = -866;

  template <class T, class... Scale>
  static Vector value(const std::byte* row, std::size_t k, Scale... scale) {
    return Isa::abs(load<T>(row, k, scale...));
  }
  static Vector add(Vector x, Vector total) { return Isa::add(x, total); }
  static Vector sum(Vector x, Vector high) { return Isa::add(x, high); }
  static Vector loss(Vector x, Vector gain) { return Isa::sub(x, gain); }
};

// Each modulus stands in both lanes of its pair, so that sums are twice what they should be.
struct Moduli : Magnitudes {
  static constexpr bool kPairs = true;
  static constexpr int kLeastBias = -400;  // squares that underflow are below 2^-70 of the sum

  template <class T, class... Scale>
  static Vector value(const std::byte* row, std::size_t k, Scale... scale) {
    const auto square = [&](std::size_t i) {
      const Vector x = load<T>(row, i, scale...);
      return Isa::mul(x, x);
    };
    return Isa::sqrt(with_partner(square, k));
  }

 private:
  // Adds to each lane the other one of its pair.
  template <class Square, class I = Isa>
  static Vector with_partner(const Square& square, std::size_t k) {
    if constexpr (I::kWidth == 1) {
      return I::add(square(k), square(k ^ 1));
    } else {
      const Vector squares = square(k);
      return I::add(squares, I::swap_pairs(squares));
    }
  }
};
