// What a processor's own multiplication gives, in a rounding mode.
#pragma once

#include "core/fp_environment.hpp"
#include "kernels/table.hpp"
#include "support/half.hpp"

namespace gradclip::test {

// x · factor in T. The mode must not move past the multiplications, which volatile sees to.
template <class T>
T product(T x, Steps factor, Rounding rounding) {
  const FpEnvironment environment(rounding);
  const volatile double first_wide = factor.first;
  const volatile T first = static_cast<T>(first_wide);
  const volatile T second = static_cast<T>(factor.second);
  const volatile T element = x;
  volatile T result = element * first;
  if (factor.second != 1.0) result = result * second;
  return result;
}

// Of a 16-bit type: multiplied as float32, then rounded once more, in nearest mode.
template <Half T>
T product(T x, Steps factor, Rounding) {
  const float wide = static_cast<float>(decode(x));
  return nearest<T>(static_cast<double>(product(wide, factor, Rounding::kNearest)));
}

}  // namespace gradclip::test
