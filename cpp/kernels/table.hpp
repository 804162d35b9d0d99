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

enum class DType : std::uint8_t { kFloat16, kBfloat16, kFloat32, kFloat64 };
inline constexpr std::size_t kDTypeCount = 4;
constexpr std::size_t index(DType dtype) noexcept { return static_cast<std::size_t>(dtype); }

// The 16-bit types as they lie in memory: IEEE binary16, and the upper half of a float32.
struct Float16 {
  std::uint16_t bits;
};
struct Bfloat16 {
  std::uint16_t bits;
};

// Element i of a block belongs to lane i mod kLanes, on every instruction set.
inline constexpr std::size_t kLanes = 32;

// Elements in a block: 512 additions per lane between compensated totals.
inline constexpr std::size_t kBlock = 512 * kLanes;

// The p of (Σ|x|^p)^(1/p): 1, 2, infinity for the largest |x|, or any other positive number.
enum class OrderKind : std::uint8_t { kOne, kTwo, kMax, kPower };
inline constexpr std::size_t kOrderKindCount = 4;
constexpr std::size_t index(OrderKind kind) noexcept { return static_cast<std::size_t>(kind); }

// What a block adds to a norm: hi + lo is Σ|x/unit|^p, or hi is the largest |x/unit|. `unit` keeps
// the terms in range; it is a power of two unless the order is kPower. `hi` alone tells finite
// from inf and NaN.
struct Partial {
  double hi = 0.0;
  double lo = 0.0;
  double unit = 1.0;
};

// Units of sums of squares, and of whatever else leaves float64's range: 2^-600, 1, 2^600.
inline constexpr int kUnitStep = 600;

// A factor as a kernel applies it: x · first, then · second unless that is 1. The second step is
// a power of two; it keeps the full mantissa of a factor that is itself subnormal in the dtype.
struct Steps {
  double first = 1.0;
  double second = 1.0;
};

// How many numbers of a block are what; pairs count once, as NaN if a part is NaN, else as inf if a
// part is inf.
struct Counts {
  std::size_t zeros = 0;
  std::size_t nans = 0;
  std::size_t infs = 0;
};
using CountKernel = void (*)(const std::byte* x, std::size_t n, Counts* counts);

// A step of stochastic gradient descent. With d = factor · gradient + weight_decay · parameter,
// velocity = momentum · velocity + d, and the parameter loses lr times that, or times d + momentum
// · velocity if it is Nesterov's; without a velocity, lr · d.
struct SgdStep {
  Steps factor;
  double lr;
  double momentum;
  double weight_decay;
  bool nesterov;
  bool no_gradient;  // taken as zeros, whatever it holds
};

// Takes one block, n ≤ kBlock elements at x. Written straight to where it stays: a Partial
// returned and then copied stalls on its own stores, 6 ns. `p` is read for kPower only. If x
// has to come from memory, and what follows it, `end` is where the array ends; else it is null.
using NormKernel = void (*)(const std::byte* x, std::size_t n, double p, const std::byte* end,
                            Partial* partial);

struct DTypeKernels {
  // By OrderKind. Of pairs: x holds the real and imaginary parts of n/2 numbers z, and the norm is
  // that of |z|; for kTwo it makes no difference.
  NormKernel of_reals[kOrderKindCount];
  NormKernel of_pairs[kOrderKindCount];
  // out[i] = x[i] · factor; x and out are the same or disjoint. Rounded as the mode says; 16-bit
  // types are multiplied as float32 and then rounded to nearest even, in that mode only. `next`, or
  // null, is as much memory that will be read from next.
  void (*scale)(const std::byte* x, std::byte* out, std::size_t n, Steps factor,
                const std::byte* next);
  // out[i] = x[i] · factors[i], which are of the compute type; as scale. Null for bfloat16.
  void (*scale_each)(const std::byte* x, std::byte* out, std::size_t n, const std::byte* factors);
  // out[i] = low if x[i] is below it, high if above that, else x[i]; x and out as for scale. The
  // bounds are rounded to the compute type and then, to nearest, to the dtype. Returns how many
  // of x are below low or above high; where none is, x may be left unwritten.
  std::size_t (*clamp)(const std::byte* x, std::byte* out, std::size_t n, double low, double high);
  CountKernel count_reals;
  CountKernel count_pairs;
  // sum[i] += x[i] · factor, rounded once, to nearest; sums are of the compute type. NaN is stored
  // as the positive quiet one, also by sgd.
  void (*add_scaled)(const std::byte* x, std::byte* sum, std::size_t n, Steps factor);
  // Rounds to nearest, in the compute type, each product with the sum that it is added to; what is
  // stored is rounded to the dtype. `velocity` may be null. The three are disjoint.
  void (*sgd)(const std::byte* gradient, std::byte* parameter, std::byte* velocity, std::size_t n,
              const SgdStep& step);
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
