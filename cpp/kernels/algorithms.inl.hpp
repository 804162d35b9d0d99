// The algorithms, once for all instruction sets. A file per instruction set defines its vectors,
// then includes this inside an anonymous namespace, so that no two of them share a symbol:
//
//   struct Isa {
//     static constexpr std::size_t kWidth;       float64 lanes in a vector
//     using Vector;                              kWidth float64 values
//     load(row, k, T{})                          the k-th of kLanes / kWidth vectors of a row of T
//     kEvenAndOdd<T>                             whether these come as even lanes, odd lanes, …
//     broadcast, add, sub, mul, sqrt, abs,
//     max(x, y)                                  of numbers that are not negative; NaN is largest
//     fma(x, y, z) = x·y + z and fms(x, y, z) = x·y − z, rounded once
//     add_square(x, sum) = sum + x·x where x·x is exact, so fused or not is the same
//     above(x, y)                                1 where x > y, else 0
//     swap_pairs                                 lanes 1, 0, 3, 2, …; not if kWidth is 1
//     sum(vector)                                as the tree of sum_lanes
//     template <class T> Row<T>                  Row::kWidth elements T, as Compute, for writing
//     Row<T>::outside(row, low, high)            how many are below low or above high
//     Row<Compute>::widen(p, T{})                as many elements T in order
//   };

#include "kernels/counts.inl.hpp"
#include "kernels/maxima.inl.hpp"
#include "kernels/sums.inl.hpp"
#include "kernels/terms.inl.hpp"
#include "kernels/updates.inl.hpp"
#include "kernels/writes.inl.hpp"

// In the order of OrderKind. There are no complex numbers of 16-bit parts.
template <class T>
constexpr DTypeKernels kernels_of() {
  DTypeKernels kernels = {
      {sum<T, Magnitudes>, sum<T, Squares>, max_of_reals<T>, sum_powers<T, false>},
      {},
      scale<T>,
      nullptr,
      clamp_to<T>,
      count_specials<T, false>,
      nullptr,
      add_scaled<T>,
      update_parameters<T>};
  if constexpr (sizeof(T) > 2) {
    const NormKernel of_pairs[] = {sum<T, Moduli>, sum<T, Squares>, max_of_pairs<T>,
                                   sum_powers<T, true>};
    for (std::size_t k = 0; k < kOrderKindCount; ++k) kernels.of_pairs[k] = of_pairs[k];
    kernels.count_pairs = count_specials<T, true>;
  }
  if constexpr (!__is_same(T, Bfloat16)) kernels.scale_each = scale_each<T>;
  return kernels;
}

// In the order of DType.
constexpr DTypeKernels kDTypes[] = {kernels_of<Float16>(), kernels_of<Bfloat16>(),
                                    kernels_of<float>(), kernels_of<double>()};
static_assert(sizeof kDTypes / sizeof kDTypes[0] == kDTypeCount);
