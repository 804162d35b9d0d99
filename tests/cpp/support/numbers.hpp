// The numbers of every dtype, and what is special among them.
#pragma once

#include <concepts>
#include <limits>

#include "kernels/table.hpp"
#include "support/half.hpp"

namespace gradclip::test {

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::same_as<T, Float16>) return DType::kFloat16;
  if constexpr (std::same_as<T, Bfloat16>) return DType::kBfloat16;
  return std::same_as<T, float> ? DType::kFloat32 : DType::kFloat64;
}

template <class T>
double to_double(T x) {
  if constexpr (Half<T>) {
    return decode(x);
  } else {
    return static_cast<double>(x);
  }
}

template <class T>
T from_double(double x) {
  if constexpr (Half<T>) {
    return nearest<T>(x);
  } else {
    return static_cast<T>(x);
  }
}

// Calls visit(T{}) with the type of a dtype.
template <class Visit>
auto with_type(DType dtype, const Visit& visit) {
  switch (dtype) {
    case DType::kFloat16:
      return visit(Float16{});
    case DType::kBfloat16:
      return visit(Bfloat16{});
    case DType::kFloat32:
      return visit(float{});
    case DType::kFloat64:
      return visit(double{});
  }
  __builtin_unreachable();
}

// Powers of two whose squares overflow or underflow in T itself, or nearly; the largest and the
// smallest number.
template <class T>
struct Magnitudes;
template <>
struct Magnitudes<Float16> {
  static constexpr int kLarge = 14;
  static constexpr int kSmall = -23;
  static constexpr double kMost = 65504.0;
  static constexpr double kSubnormal = 0x1p-24;
};
template <>
struct Magnitudes<Bfloat16> {
  static constexpr int kLarge = 100;
  static constexpr int kSmall = -120;
  static constexpr double kMost = 0x1.fep127;
  static constexpr double kSubnormal = 0x1p-133;
};
template <>
struct Magnitudes<float> {
  static constexpr int kLarge = 100;
  static constexpr int kSmall = -120;
  static constexpr double kMost = static_cast<double>(std::numeric_limits<float>::max());
  static constexpr double kSubnormal =
      static_cast<double>(std::numeric_limits<float>::denorm_min());
};
template <>
struct Magnitudes<double> {
  static constexpr int kLarge = 664;   // 2^664 is about 1e200
  static constexpr int kSmall = -996;  // 2^-996 is about 1e-300
  static constexpr double kMost = std::numeric_limits<double>::max();
  static constexpr double kSubnormal = std::numeric_limits<double>::denorm_min();
};

template <class T>
T infinity() {
  return from_double<T>(std::numeric_limits<double>::infinity());
}
template <class T>
T negative(T x) {
  return from_double<T>(-to_double(x));
}
template <class T>
T quiet_nan() {
  return from_double<T>(std::numeric_limits<double>::quiet_NaN());
}
// Negative.
template <class T>
T signaling_nan() {
  if constexpr (Half<T>) {
    return with_bits<T>(kSignBit | kInfinityBits<T> | 1);
  } else {
    return -std::numeric_limits<T>::signaling_NaN();
  }
}

}  // namespace gradclip::test
