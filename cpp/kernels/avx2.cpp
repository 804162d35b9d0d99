// The kernels for x86-64 with AVX2, FMA and F16C (Haswell, Zen and later).
#include <immintrin.h>

#include "kernels/table.hpp"

namespace gradclip {
namespace {

__m128i load_128(const std::byte* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
void store_128(std::byte* p, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v); }

std::size_t ones(int mask) {
  return static_cast<std::size_t>(__builtin_popcount(static_cast<unsigned>(mask)));
}

template <class T>
struct Avx2Row;

template <>
struct Avx2Row<float> {
  using Compute = float;
  static constexpr std::size_t kWidth = 8;
  static __m256 load(const std::byte* p) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
  }
  static void store(std::byte* p, __m256 v) { _mm256_storeu_ps(reinterpret_cast<float*>(p), v); }
  static __m256 broadcast(float x) { return _mm256_set1_ps(x); }
  static __m256 mul(__m256 a, __m256 b) { return _mm256_mul_ps(a, b); }
  static __m256 fma(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
  static __m256 one_nan(__m256 v) {
    return _mm256_blendv_ps(v, broadcast(__builtin_nanf("")), _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  }
  static __m256 widen(const std::byte* p, float) { return load(p); }
  static __m256 widen(const std::byte* p, Float16) { return _mm256_cvtph_ps(load_128(p)); }
  static __m256 widen(const std::byte* p, Bfloat16) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(p)), 16));
  }
  static __m256 max(__m256 v, __m256 bound) { return _mm256_max_ps(bound, v); }
  static __m256 min(__m256 v, __m256 bound) { return _mm256_min_ps(bound, v); }
  static std::size_t outside(__m256 v, __m256 low, __m256 high) {
    const __m256 below = _mm256_cmp_ps(v, low, _CMP_LT_OQ);
    return ones(_mm256_movemask_ps(_mm256_or_ps(below, _mm256_cmp_ps(v, high, _CMP_GT_OQ))));
  }
};

template <>
struct Avx2Row<double> {
  using Compute = double;
  static constexpr std::size_t kWidth = 4;
  static __m256d load(const std::byte* p) {
    return _mm256_loadu_pd(reinterpret_cast<const double*>(p));
  }
  static void store(std::byte* p, __m256d v) { _mm256_storeu_pd(reinterpret_cast<double*>(p), v); }
  static __m256d broadcast(double x) { return _mm256_set1_pd(x); }
  static __m256d mul(__m256d a, __m256d b) { return _mm256_mul_pd(a, b); }
  static __m256d fma(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
  static __m256d one_nan(__m256d v) {
    return _mm256_blendv_pd(v, broadcast(__builtin_nan("")), _mm256_cmp_pd(v, v, _CMP_UNORD_Q));
  }
  static __m256d widen(const std::byte* p, double) { return load(p); }
  static __m256d max(__m256d v, __m256d bound) { return _mm256_max_pd(bound, v); }
  static __m256d min(__m256d v, __m256d bound) { return _mm256_min_pd(bound, v); }
  static std::size_t outside(__m256d v, __m256d low, __m256d high) {
    const __m256d below = _mm256_cmp_pd(v, low, _CMP_LT_OQ);
    return ones(_mm256_movemask_pd(_mm256_or_pd(below, _mm256_cmp_pd(v, high, _CMP_GT_OQ))));
  }
};

template <>
struct Avx2Row<Float16> : Avx2Row<float> {
  static __m256 load(const std::byte* p) { return _mm256_cvtph_ps(load_128(p)); }
  static void store(std::byte* p, __m256 v) {
    store_128(p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

// 16 at once, as those in even places and those in odd ones: no shuffle.
template <>
struct Avx2Row<Bfloat16> {
  using Compute = float;
  struct Halves {
    __m256 even, odd;
  };
  static constexpr std::size_t kWidth = 16;
  static Halves load(const std::byte* p) {
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(all, 16)), _mm256_castsi256_ps(upper(all))};
  }
  static void store(std::byte* p, Halves v) {
    const __m256i even = _mm256_srli_epi32(rounded(v.even), 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm256_or_si256(even, upper(rounded(v.odd))));
  }
  static __m256 broadcast(float x) { return _mm256_set1_ps(x); }
  static Halves mul(Halves a, __m256 b) {
    return {_mm256_mul_ps(a.even, b), _mm256_mul_ps(a.odd, b)};
  }
  static Halves fma(Halves a, __m256 b, Halves c) {
    return {_mm256_fmadd_ps(a.even, b, c.even), _mm256_fmadd_ps(a.odd, b, c.odd)};
  }
  static Halves one_nan(Halves v) {
    return {Avx2Row<float>::one_nan(v.even), Avx2Row<float>::one_nan(v.odd)};
  }
  static Halves max(Halves v, __m256 bound) {
    return {_mm256_max_ps(bound, v.even), _mm256_max_ps(bound, v.odd)};
  }
  static Halves min(Halves v, __m256 bound) {
    return {_mm256_min_ps(bound, v.even), _mm256_min_ps(bound, v.odd)};
  }
  static std::size_t outside(Halves v, __m256 low, __m256 high) {
    return Avx2Row<float>::outside(v.even, low, high) + Avx2Row<float>::outside(v.odd, low, high);
  }

 private:
  static __m256i upper(__m256i x) { return _mm256_and_si256(x, _mm256_set1_epi32(-0x10000)); }
  // The upper half to nearest even: adds 0x7fff, and 1 if it is odd. Not to NaN.
  static __m256i rounded(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i carry = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    const __m256i number = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_ORD_Q));
    return _mm256_add_epi32(bits, _mm256_and_si256(carry, number));
  }
};

struct Isa {
  static constexpr std::size_t kWidth = 4;
  using Vector = __m256d;
  template <class T>
  using Row = Avx2Row<T>;
  template <class T>
  static constexpr bool kEvenAndOdd = __is_same(T, Bfloat16);

  static Vector load(const std::byte* row, std::size_t k, Float16) {
    const auto* p = reinterpret_cast<const __m128i*>(row + k * kWidth * sizeof(Float16));
    return _mm256_cvtps_pd(_mm_cvtph_ps(_mm_loadl_epi64(p)));
  }
  // Lanes 0, 2, 4, 6; 1, 3, 5, 7; 8, …; 9, …; 16, …
  static Vector load(const std::byte* row, std::size_t k, Bfloat16) {
    const auto [even, odd] = Row<Bfloat16>::load(row + k / 4 * 16 * sizeof(Bfloat16));
    const __m256 half = k % 2 == 0 ? even : odd;
    return _mm256_cvtps_pd(k % 4 < 2 ? _mm256_castps256_ps128(half)
                                     : _mm256_extractf128_ps(half, 1));
  }
  static Vector load(const std::byte* row, std::size_t k, float) {
    const std::byte* p = row + k * kWidth * sizeof(float);
    return _mm256_cvtps_pd(_mm_loadu_ps(reinterpret_cast<const float*>(p)));
  }
  static Vector load(const std::byte* row, std::size_t k, double) {
    return Row<double>::load(row + k * kWidth * sizeof(double));
  }
  static Vector broadcast(double x) { return _mm256_set1_pd(x); }
  static Vector add(Vector a, Vector b) { return _mm256_add_pd(a, b); }
  static Vector sub(Vector a, Vector b) { return _mm256_sub_pd(a, b); }
  static Vector mul(Vector a, Vector b) { return _mm256_mul_pd(a, b); }
  // As integers, which have the same order, and NaN on top.
  static Vector max(Vector a, Vector b) {
    const __m256i larger = _mm256_cmpgt_epi64(_mm256_castpd_si256(a), _mm256_castpd_si256(b));
    return _mm256_blendv_pd(b, a, _mm256_castsi256_pd(larger));
  }
  static Vector above(Vector a, Vector b) {
    return _mm256_and_pd(_mm256_cmp_pd(a, b, _CMP_GT_OQ), _mm256_set1_pd(1.0));
  }
  static Vector sqrt(Vector x) { return _mm256_sqrt_pd(x); }
  static Vector swap_pairs(Vector x) { return _mm256_permute_pd(x, 0b0101); }
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
