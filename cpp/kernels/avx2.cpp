// The kernels for x86-64 with AVX2, FMA and F16C (Haswell, Zen and later).
#include <immintrin.h>

#include "kernels/table.hpp"

namespace gradclip {
namespace {

template <class T>
struct Avx2Row;

template <>
struct Avx2Row<float> {
  static constexpr std::size_t kWidth = 8;
  static __m256 load(const std::byte* p) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
  }
  static void store(std::byte* p, __m256 v) { _mm256_storeu_ps(reinterpret_cast<float*>(p), v); }
  static __m256 broadcast(float x) { return _mm256_set1_ps(x); }
  static __m256 mul(__m256 a, __m256 b) { return _mm256_mul_ps(a, b); }
};

template <>
struct Avx2Row<double> {
  static constexpr std::size_t kWidth = 4;
  static __m256d load(const std::byte* p) {
    return _mm256_loadu_pd(reinterpret_cast<const double*>(p));
  }
  static void store(std::byte* p, __m256d v) { _mm256_storeu_pd(reinterpret_cast<double*>(p), v); }
  static __m256d broadcast(double x) { return _mm256_set1_pd(x); }
  static __m256d mul(__m256d a, __m256d b) { return _mm256_mul_pd(a, b); }
};

struct Isa {
  static constexpr std::size_t kWidth = 4;
  using Vector = __m256d;
  template <class T>
  using Row = Avx2Row<T>;

  static Vector load_float32(const std::byte* p) {
    return _mm256_cvtps_pd(_mm_loadu_ps(reinterpret_cast<const float*>(p)));
  }
  static Vector load_float64(const std::byte* p) { return Avx2Row<double>::load(p); }
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
