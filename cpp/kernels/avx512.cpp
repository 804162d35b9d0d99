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

__m256i load_256(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
void store_256(std::byte* p, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }

std::size_t ones(int mask) {
  return static_cast<std::size_t>(__builtin_popcount(static_cast<unsigned>(mask)));
}

template <class T>
struct Avx512Row;

template <>
struct Avx512Row<float> {
  using Compute = float;
  static constexpr std::size_t kWidth = 16;
  static __m512 load(const std::byte* p) { return _mm512_loadu_ps(p); }
  static void store(std::byte* p, __m512 v) { _mm512_storeu_ps(p, v); }
  static __m512 broadcast(float x) { return _mm512_set1_ps(x); }
  static __m512 mul(__m512 a, __m512 b) { return _mm512_mul_ps(a, b); }
  static __m512 fma(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
  static __m512 one_nan(__m512 v) {
    const __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(v, is_nan, broadcast(__builtin_nanf("")));
  }
  static __m512 widen(const std::byte* p, float) { return load(p); }
  static __m512 widen(const std::byte* p, Float16) { return _mm512_cvtph_ps(load_256(p)); }
  static __m512 widen(const std::byte* p, Bfloat16) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_256(p)), 16));
  }
  static __m512 max(__m512 v, __m512 bound) { return _mm512_max_ps(bound, v); }
  static __m512 min(__m512 v, __m512 bound) { return _mm512_min_ps(bound, v); }
  static std::size_t outside(__m512 v, __m512 low, __m512 high) {
    const __mmask16 below = _mm512_cmp_ps_mask(v, low, _CMP_LT_OQ);
    return ones(below | _mm512_cmp_ps_mask(v, high, _CMP_GT_OQ));
  }
};

template <>
struct Avx512Row<double> {
  using Compute = double;
  static constexpr std::size_t kWidth = 8;
  static __m512d load(const std::byte* p) { return _mm512_loadu_pd(p); }
  static void store(std::byte* p, __m512d v) { _mm512_storeu_pd(p, v); }
  static __m512d broadcast(double x) { return _mm512_set1_pd(x); }
  static __m512d mul(__m512d a, __m512d b) { return _mm512_mul_pd(a, b); }
  static __m512d fma(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
  static __m512d one_nan(__m512d v) {
    const __mmask8 is_nan = _mm512_cmp_pd_mask(v, v, _CMP_UNORD_Q);
    return _mm512_mask_mov_pd(v, is_nan, broadcast(__builtin_nan("")));
  }
  static __m512d widen(const std::byte* p, double) { return load(p); }
  static __m512d max(__m512d v, __m512d bound) { return _mm512_max_pd(bound, v); }
  static __m512d min(__m512d v, __m512d bound) { return _mm512_min_pd(bound, v); }
  static std::size_t outside(__m512d v, __m512d low, __m512d high) {
    const __mmask8 below = _mm512_cmp_pd_mask(v, low, _CMP_LT_OQ);
    return ones(below | _mm512_cmp_pd_mask(v, high, _CMP_GT_OQ));
  }
};

template <>
struct Avx512Row<Float16> : Avx512Row<float> {
  static __m512 load(const std::byte* p) { return _mm512_cvtph_ps(load_256(p)); }
  static void store(std::byte* p, __m512 v) {
    store_256(p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

// 32 at once, as those in even places and those in odd ones: no shuffle.
template <>
struct Avx512Row<Bfloat16> {
  using Compute = float;
  struct Halves {
    __m512 even, odd;
  };
  static constexpr std::size_t kWidth = 32;
  static Halves load(const std::byte* p) {
    const __m512i all = _mm512_loadu_si512(p);
    return {_mm512_castsi512_ps(_mm512_slli_epi32(all, 16)), _mm512_castsi512_ps(upper(all))};
  }
  static void store(std::byte* p, Halves v) {
    const __m512i even = _mm512_srli_epi32(rounded(v.even), 16);
    _mm512_storeu_si512(p, _mm512_or_si512(even, upper(rounded(v.odd))));
  }
  static __m512 broadcast(float x) { return _mm512_set1_ps(x); }
  static Halves mul(Halves a, __m512 b) {
    return {_mm512_mul_ps(a.even, b), _mm512_mul_ps(a.odd, b)};
  }
  static Halves fma(Halves a, __m512 b, Halves c) {
    return {_mm512_fmadd_ps(a.even, b, c.even), _mm512_fmadd_ps(a.odd, b, c.odd)};
  }
  static Halves one_nan(Halves v) {
    return {Avx512Row<float>::one_nan(v.even), Avx512Row<float>::one_nan(v.odd)};
  }
  static Halves max(Halves v, __m512 bound) {
    return {_mm512_max_ps(bound, v.even), _mm512_max_ps(bound, v.odd)};
  }
  static Halves min(Halves v, __m512 bound) {
    return {_mm512_min_ps(bound, v.even), _mm512_min_ps(bound, v.odd)};
  }
  static std::size_t outside(Halves v, __m512 low, __m512 high) {
    return Avx512Row<float>::outside(v.even, low, high) +
           Avx512Row<float>::outside(v.odd, low, high);
  }

 private:
  static __m512i upper(__m512i x) { return _mm512_and_si512(x, _mm512_set1_epi32(-0x10000)); }
  // The upper half to nearest even: adds 0x7fff, and 1 if it is odd. Not to NaN.
  static __m512i rounded(__m512 x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i carry = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    return _mm512_mask_add_epi32(bits, _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), bits, carry);
  }
};

struct Isa {
  static constexpr std::size_t kWidth = 8;
  using Vector = __m512d;
  template <class T>
  using Row = Avx512Row<T>;
  template <class T>
  static constexpr bool kEvenAndOdd = __is_same(T, Bfloat16);

  static Vector load(const std::byte* row, std::size_t k, Float16) {
    const std::byte* p = row + k * kWidth * sizeof(Float16);
    return _mm512_cvtps_pd(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  // Lanes 0, 2, …, 14; 1, 3, …, 15; 16, …; 17, …
  static Vector load(const std::byte* row, std::size_t k, Bfloat16) {
    const auto [even, odd] = Row<Bfloat16>::load(row);
    const __m512 half = k % 2 == 0 ? even : odd;
    return _mm512_cvtps_pd(k < 2 ? _mm512_castps512_ps256(half) : _mm512_extractf32x8_ps(half, 1));
  }
  static Vector load(const std::byte* row, std::size_t k, float) {
    const std::byte* p = row + k * kWidth * sizeof(float);
    return _mm512_cvtps_pd(_mm256_loadu_ps(reinterpret_cast<const float*>(p)));
  }
  static Vector load(const std::byte* row, std::size_t k, double) {
    return _mm512_loadu_pd(row + k * kWidth * sizeof(double));
  }
  static Vector broadcast(double x) { return _mm512_set1_pd(x); }
  static Vector add(Vector a, Vector b) { return _mm512_add_pd(a, b); }
  static Vector sub(Vector a, Vector b) { return _mm512_sub_pd(a, b); }
  static Vector mul(Vector a, Vector b) { return _mm512_mul_pd(a, b); }
  // As integers, which have the same order, and NaN on top.
  static Vector max(Vector a, Vector b) {
    return _mm512_castsi512_pd(_mm512_max_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(b)));
  }
  static Vector above(Vector a, Vector b) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(a, b, _CMP_GT_OQ), _mm512_set1_pd(1.0));
  }
  static Vector sqrt(Vector x) { return _mm512_sqrt_pd(x); }
  static Vector swap_pairs(Vector x) { return _mm512_permute_pd(x, 0b01010101); }
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
