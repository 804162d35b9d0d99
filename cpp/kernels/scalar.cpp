// The kernels in plain C++: what runs where nothing better does, and the reference for the rest.
#include "kernels/table.hpp"

namespace gradclip {
namespace {

float with_bits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
std::uint32_t bits_of(float x) { return __builtin_bit_cast(std::uint32_t, x); }

float widened(Bfloat16 x) { return with_bits(std::uint32_t{x.bits} << 16); }

// Sign, 5 bits of exponent with a bias of 15, 10 of mantissa.
float widened(Float16 x) {
  const std::uint32_t sign = std::uint32_t{x.bits & 0x8000u} << 16;
  const std::uint32_t exponent = x.bits >> 10 & 0x1f;
  const std::uint32_t mantissa = x.bits & 0x3ff;
  if (exponent == 0) {  // mantissa · 2^-24, exactly
    return with_bits(sign | bits_of(static_cast<float>(mantissa) * 0x1p-24f));
  }
  if (exponent == 0x1f) {  // NaN becomes quiet
    return with_bits(sign | 0x7f800000 | mantissa << 13 | (mantissa != 0 ? 0x400000u : 0u));
  }
  return with_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

// x / 2^shift, to nearest even.
std::uint32_t shifted_right(std::uint32_t x, int shift) {
  const std::uint32_t half = 1u << (shift - 1);
  return (x + half - 1 + (x >> shift & 1)) >> shift;
}

void narrow(float x, Bfloat16* result) {
  const std::uint32_t bits = bits_of(x);
  result->bits = static_cast<std::uint16_t>(x == x ? shifted_right(bits, 16) : bits >> 16);
}

void narrow(float x, Float16* result) {
  const std::uint32_t sign = bits_of(x) >> 16 & 0x8000;
  const std::uint32_t magnitude = bits_of(x) & 0x7fffffff;
  const auto exponent = static_cast<int>(magnitude >> 23) - 127;
  std::uint32_t half;
  if (magnitude > 0x7f800000) {
    half = 0x7e00 | (magnitude >> 13 & 0x3ff);
  } else if (exponent > 15) {
    half = 0x7c00;
  } else if (exponent >= -14) {  // a mantissa that rounds up to 2 raises the exponent, as it should
    half = shifted_right(magnitude - (112u << 23), 13);
  } else if (exponent >= -25) {  // subnormal: in units of 2^-24
    half = shifted_right((magnitude & 0x7fffff) | 0x800000, -1 - exponent);
  } else {
    half = 0;
  }
  result->bits = static_cast<std::uint16_t>(sign | half);
}

float widened(float x) { return x; }
double widened(double x) { return x; }
void narrow(float x, float* result) { *result = x; }
void narrow(double x, double* result) { *result = x; }

template <class T>
struct ScalarRow {
  using Compute = decltype(widened(T{}));
  static constexpr std::size_t kWidth = 1;
  static Compute load(const std::byte* p) {
    T value;
    __builtin_memcpy(&value, p, sizeof value);
    return widened(value);
  }
  static void store(std::byte* p, Compute value) {
    T item;
    narrow(value, &item);
    __builtin_memcpy(p, &item, sizeof item);
  }
  static Compute broadcast(Compute value) { return value; }
  static Compute mul(Compute a, Compute b) { return a * b; }
  // The C library's, if it must be: right on processors without the instruction as well.
  static float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  static double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
  static Compute one_nan(Compute v) { return v == v ? v : static_cast<Compute>(__builtin_nan("")); }
  template <class Narrow>
  static Compute widen(const std::byte* p, Narrow) {
    return ScalarRow<Narrow>::load(p);
  }
  static Compute max(Compute v, Compute bound) { return v < bound ? bound : v; }
  static Compute min(Compute v, Compute bound) { return v > bound ? bound : v; }
  static std::size_t outside(Compute v, Compute low, Compute high) { return v < low || v > high; }
};

struct Isa {
  static constexpr std::size_t kWidth = 1;
  using Vector = double;
  template <class T>
  using Row = ScalarRow<T>;
  template <class T>
  static constexpr bool kEvenAndOdd = false;

  template <class T>
  static double load(const std::byte* row, std::size_t k, T) {
    return Row<T>::load(row + k * sizeof(T));
  }
  static double broadcast(double x) { return x; }
  static double add(double a, double b) { return a + b; }
  static double sub(double a, double b) { return a - b; }
  static double mul(double a, double b) { return a * b; }
  // As integers, which have the same order, and NaN on top.
  static double max(double a, double b) {
    const auto bits = [](double x) { return __builtin_bit_cast(std::uint64_t, x); };
    return bits(a) > bits(b) ? a : b;
  }
  static double above(double a, double b) { return a > b ? 1.0 : 0.0; }
  static double sqrt(double x) { return __builtin_sqrt(x); }
  // Not fabs, which GCC leaves out around a square root: that of a negative NaN is one.
  static double abs(double x) {
    return __builtin_bit_cast(double, __builtin_bit_cast(std::uint64_t, x) & ~(1ull << 63));
  }
  // The C library's fma is right on processors without the instruction as well.
  static double fma(double x, double y, double z) { return __builtin_fma(x, y, z); }
  static double fms(double x, double y, double z) { return __builtin_fma(x, y, -z); }
  static double add_square(double x, double sum) { return sum + x * x; }
  static double sum(double v) { return v; }
};

#include "kernels/algorithms.inl.hpp"

}  // namespace

const KernelTable scalar::kTable = {"scalar", kDTypes};

}  // namespace gradclip
