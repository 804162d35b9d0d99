// The kernels for x86-64 with AVX2, FMA and F16C (Haswell, Zen and later).
#include <immintrin.h>

#include "kernels/table.hpp"

namespace gradclip {
namespace {

#include "kernels/rows256.inl.hpp"

struct Isa {
  static constexpr std::size_t kWidth = 4;
  using Vector = __m256d;
  template <class T>
  using Row = Row256<T>;

  static Vector load_float32(const std::byte* p) {
    return _mm256_cvtps_pd(_mm_loadu_ps(reinterpret_cast<const float*>(p)));
  }
  static Vector load_float64(const std::byte* p) { return Row256<double>::load(p); }
  static Vector broadcast(double x) { return _mm256_set1_pd(x); }
  static Vector add(Vector a, Vector b) { return _mm256_add_pd(a, b); }
  static Vector sub(Vector a, Vector b) { return _mm256_sub_pd(a, b); }
  static Vector mul(Vector a, Vector b) { return _mm256_mul_pd(a, b); }
  // Returns b where a is NaN.
  static Vector max(Vector a, Vector b) { return _mm256_max_pd(a, b); }
  static Vector abs(Vector x) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), x); }
  static Vector fma(Vector x, Vector y, Vector z) { return _mm256_fmadd_pd(x, y, z); }
  static Vector fms(Vector x, Vector y, Vector z) { return _mm256_fmsub_pd(x, y, z); }
  static Vector add_square(Vector x, Vector sum) { return _mm256_fmadd_pd(x, x, sum); }
  static double sum(Vector v) {
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

#include "kernels/algorithms.inl.hpp"

}  // namespace

const KernelTable avx2::kTable = {"avx2", kDTypes};

}  // namespace gradclip
