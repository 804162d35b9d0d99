// The kernels for x86-64 with AVX-512 F, BW, DQ and VL (Skylake-SP, Zen 4 and later).
#if defined(__GNUC__) && !defined(__clang__)  // GCC bug 105593: warnings from within its header
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include "kernels/table.hpp"

namespace gradclip {
namespace {

template <class T>
struct Avx512Row;

template <>
struct Avx512Row<float> {
  static constexpr std::size_t kWidth = 16;
  static __m512 load(const std::byte* p) { return _mm512_loadu_ps(p); }
  static void store(std::byte* p, __m512 v) { _mm512_storeu_ps(p, v); }
  static __m512 broadcast(float x) { return _mm512_set1_ps(x); }
  static __m512 mul(__m512 a, __m512 b) { return _mm512_mul_ps(a, b); }
};

template <>
struct Avx512Row<double> {
  static constexpr std::size_t kWidth = 8;
  static __m512d load(const std::byte* p) { return _mm512_loadu_pd(p); }
  static void store(std::byte* p, __m512d v) { _mm512_storeu_pd(p, v); }
  static __m512d broadcast(double x) { return _mm512_set1_pd(x); }
  static __m512d mul(__m512d a, __m512d b) { return _mm512_mul_pd(a, b); }
};

struct Isa {
  static constexpr std::size_t kWidth = 8;
  using Vector = __m512d;
  template <class T>
  using Row = Avx512Row<T>;

  static Vector load_float32(const std::byte* p) {
    return _mm512_cvtps_pd(_mm256_loadu_ps(reinterpret_cast<const float*>(p)));
  }
  static Vector load_float64(const std::byte* p) { return Avx512Row<double>::load(p); }
  static Vector broadcast(double x) { return _mm512_set1_pd(x); }
  static Vector add(Vector a, Vector b) { return _mm512_add_pd(a, b); }
  static Vector sub(Vector a, Vector b) { return _mm512_sub_pd(a, b); }
  static Vector mul(Vector a, Vector b) { return _mm512_mul_pd(a, b); }
  // Returns b where a is NaN.
  static Vector max(Vector a, Vector b) { return _mm512_max_pd(a, b); }
  static Vector abs(Vector x) { return _mm512_abs_pd(x); }
  static Vector fma(Vector x, Vector y, Vector z) { return _mm512_fmadd_pd(x, y, z); }
  static Vector fms(Vector x, Vector y, Vector z) { return _mm512_fmsub_pd(x, y, z); }
  static Vector add_square(Vector x, Vector sum) { return _mm512_fmadd_pd(x, x, sum); }
  static double sum(Vector v) {
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

#include "kernels/algorithms.inl.hpp"

}  // namespace

const KernelTable avx512::kTable = {"avx512", kDTypes};

}  // namespace gradclip
