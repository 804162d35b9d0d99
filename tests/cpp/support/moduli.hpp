// Moduli of pairs, without rounding or overflow to speak of.
#pragma once

#include <cmath>
#include <utility>

#include "support/exact.hpp"

namespace gradclip::test {

// √(x² + y²), good to 2^-100: a float64 root and two steps of Newton's iteration.
inline Exact exact_modulus(double x, double y) {
  double large = std::fabs(x);
  double small = std::fabs(y);
  if (large < small) std::swap(large, small);
  if (small == 0.0) return static_cast<Exact>(large);
  const Exact ratio = static_cast<Exact>(small) / static_cast<Exact>(large);
  const Exact square = 1 + ratio * ratio;
  Exact root = static_cast<Exact>(std::sqrt(static_cast<double>(square)));
  for (int i = 0; i < 2; ++i) root = (root + square / root) / 2;
  return static_cast<Exact>(large) * root;
}
inline Exact exact_modulus(float x, float y) {
  return exact_modulus(static_cast<double>(x), static_cast<double>(y));
}

}  // namespace gradclip::test
