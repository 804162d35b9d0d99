// What every instruction set provides: one table of kernels, the same bits from each of them.
//
// Kernels are plain loops over memory: no threads, no allocation, no exceptions. Pointers may be
// misaligned. They expect the floating-point mode that core/fp_environment.hpp sets.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __FAST_MATH__
#error "gradclip relies on IEEE arithmetic: build it without -ffast-math"
#endif

namespace gradclip {

enum class DType : std::uint8_t { kFloat32, kFloat64 };
inline constexpr std::size_t kDTypeCount = 2;
constexpr std::size_t index(DType dtype) noexcept { return static_cast<std::size_t>(dtype); }

// Element i of a block belongs to lane i mod kLanes, on every instruction set.
inline constexpr std::size_t kLanes = 32;

// Elements in a block: 512 additions per lane between compensated totals.
inline constexpr std::size_t kBlock = 512 * kLanes;

// A sum of squares, (hi + lo) · 2^(−2·kScaleStep·scale): its elements were multiplied by
// 2^(kScaleStep·scale) before they were squared. `hi` alone tells finite from inf and NaN.
struct Partial {
  double hi = 0.0;
  double lo = 0.0;
  int scale = 0;
};
inline constexpr int kScaleStep = 600;

// A factor as a kernel applies it: x · first, then · second unless that is 1. The second step is
// a power of two; it keeps the full mantissa of a factor that is itself subnormal in the dtype.
struct Steps {
  double first = 1.0;
  double second = 1.0;
};

struct DTypeKernels {
  // The sum of squares of one block: n ≤ kBlock elements at x. Written straight to where it stays:
  // a Partial returned and then copied stalls on its own stores, 6 ns.
  void (*sum_squares)(const std::byte* x, std::size_t n, Partial* sum);
  // out[i] = x[i] · factor in the current rounding mode; x and out are the same or disjoint.
  void (*scale)(const std::byte* x, std::byte* out, std::size_t n, Steps factor);
};

struct KernelTable {
  const char* name;
  const DTypeKernels* dtypes;  // kDTypeCount of them

  const DTypeKernels& operator[](DType dtype) const { return dtypes[index(dtype)]; }
};

namespace scalar {
extern const KernelTable kTable;
}
namespace avx2 {
extern const KernelTable kTable;
}
namespace avx512 {
extern const KernelTable kTable;
}
namespace neon {
extern const KernelTable kTable;
}

}  // namespace gradclip
