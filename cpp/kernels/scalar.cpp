// The kernels in plain C++: what runs where nothing better does, and the reference for the rest.
#include "kernels/table.hpp"

namespace gradclip {
namespace {

template <class T>
struct ScalarRow {
  static constexpr std::size_t kWidth = 1;
  static T load(const std::byte* p) {
    T value;
    __builtin_memcpy(&value, p, sizeof value);
    return value;
  }
  static void store(std::byte* p, T value) { __builtin_memcpy(p, &value, sizeof value); }
  static T broadcast(T value) { return value; }
  static T mul(T a, T b) { return a * b; }
};

struct Isa {
  static constexpr std::size_t kWidth = 1;
  using Vector = double;
  template <class T>
  using Row = ScalarRow<T>;

  static double load_float32(const std::byte* p) { return ScalarRow<float>::load(p); }
  static double load_float64(const std::byte* p) { return ScalarRow<double>::load(p); }
  static double broadcast(double x) { return x; }
  static double add(double a, double b) { return a + b; }
  static double sub(double a, double b) { return a - b; }
  static double mul(double a, double b) { return a * b; }
  static double max(double a, double b) { return a > b ? a : b; }
  static double abs(double x) { return __builtin_fabs(x); }
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
