// The kernels for aarch64, all of which has NEON with float64 and FMA.
#include <arm_neon.h>

#include "kernels/table.hpp"

namespace gradclip {
namespace {

// By bytes: memory may be misaligned.
uint8x16_t load16(const std::byte* p) { return vld1q_u8(reinterpret_cast<const std::uint8_t*>(p)); }
void store16(std::byte* p, uint8x16_t v) { vst1q_u8(reinterpret_cast<std::uint8_t*>(p), v); }
uint8x8_t load8(const std::byte* p) { return vld1_u8(reinterpret_cast<const std::uint8_t*>(p)); }
void store8(std::byte* p, uint8x8_t v) { vst1_u8(reinterpret_cast<std::uint8_t*>(p), v); }

template <class T>
struct NeonRow;

template <>
struct NeonRow<float> {
  using Compute = float;
  static constexpr std::size_t kWidth = 4;
  static float32x4_t load(const std::byte* p) { return vreinterpretq_f32_u8(load16(p)); }
  static void store(std::byte* p, float32x4_t v) { store16(p, vreinterpretq_u8_f32(v)); }
  static float32x4_t broadcast(float x) { return vdupq_n_f32(x); }
  static float32x4_t mul(float32x4_t a, float32x4_t b) { return vmulq_f32(a, b); }
  static float32x4_t fma(float32x4_t a, float32x4_t b, float32x4_t c) { return vfmaq_f32(c, a, b); }
  static float32x4_t one_nan(float32x4_t v) {
    return vbslq_f32(vceqq_f32(v, v), v, broadcast(__builtin_nanf("")));
  }
  template <class T>
  static float32x4_t widen(const std::byte* p, T) {
    return NeonRow<T>::load(p);
  }
  // Not vmaxq and vminq, which change the bits of NaN and take −0 for less than 0.
  static float32x4_t max(float32x4_t v, float32x4_t bound) {
    return vbslq_f32(vcltq_f32(v, bound), bound, v);
  }
  static float32x4_t min(float32x4_t v, float32x4_t bound) {
    return vbslq_f32(vcgtq_f32(v, bound), bound, v);
  }
  static std::size_t outside(float32x4_t v, float32x4_t low, float32x4_t high) {
    return vaddvq_u32(vshrq_n_u32(vorrq_u32(vcltq_f32(v, low), vcgtq_f32(v, high)), 31));
  }
};

template <>
struct NeonRow<double> {
  using Compute = double;
  static constexpr std::size_t kWidth = 2;
  static float64x2_t load(const std::byte* p) { return vreinterpretq_f64_u8(load16(p)); }
  static void store(std::byte* p, float64x2_t v) { store16(p, vreinterpretq_u8_f64(v)); }
  static float64x2_t broadcast(double x) { return vdupq_n_f64(x); }
  static float64x2_t mul(float64x2_t a, float64x2_t b) { return vmulq_f64(a, b); }
  static float64x2_t fma(float64x2_t a, float64x2_t b, float64x2_t c) { return vfmaq_f64(c, a, b); }
  static float64x2_t one_nan(float64x2_t v) {
    return vbslq_f64(vceqq_f64(v, v), v, broadcast(__builtin_nan("")));
  }
  static float64x2_t widen(const std::byte* p, double) { return load(p); }
  static float64x2_t max(float64x2_t v, float64x2_t bound) {
    return vbslq_f64(vcltq_f64(v, bound), bound, v);
  }
  static float64x2_t min(float64x2_t v, float64x2_t bound) {
    return vbslq_f64(vcgtq_f64(v, bound), bound, v);
  }
  static std::size_t outside(float64x2_t v, float64x2_t low, float64x2_t high) {
    return vaddvq_u64(vshrq_n_u64(vorrq_u64(vcltq_f64(v, low), vcgtq_f64(v, high)), 63));
  }
};

template <>
struct NeonRow<Float16> : NeonRow<float> {
  static float32x4_t load(const std::byte* p) {
    return vcvt_f32_f16(vreinterpret_f16_u8(load8(p)));
  }
  static void store(std::byte* p, float32x4_t v) {
    store8(p, vreinterpret_u8_f16(vcvt_f16_f32(v)));
  }
};

template <>
struct NeonRow<Bfloat16> : NeonRow<float> {
  static float32x4_t load(const std::byte* p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(load8(p)), 16));
  }
  static void store(std::byte* p, float32x4_t v) {
    const uint32x4_t bits = vreinterpretq_u32_f32(v);
    // To nearest even: adds 0x7fff, and 1 if the upper half is odd.
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t result = vbslq_u32(vceqq_f32(v, v), rounded, bits);
    store8(p, vreinterpret_u8_u16(vshrn_n_u32(result, 16)));
  }
};

struct Isa {
  static constexpr std::size_t kWidth = 2;
  using Vector = float64x2_t;
  template <class T>
  using Row = NeonRow<T>;
  template <class T>
  static constexpr bool kEvenAndOdd = false;

  template <class T>
  static Vector load(const std::byte* row, std::size_t k, T) {
    // Four at once: the compiler sees that neighbours load the same.
    const float32x4_t both = NeonRow<T>::load(row + k / 2 * 4 * sizeof(T));
    return vcvt_f64_f32(k % 2 == 0 ? vget_low_f32(both) : vget_high_f32(both));
  }
  static Vector load(const std::byte* row, std::size_t k, float) {
    return vcvt_f64_f32(vreinterpret_f32_u8(load8(row + k * kWidth * sizeof(float))));
  }
  static Vector load(const std::byte* row, std::size_t k, double) {
    return NeonRow<double>::load(row + k * kWidth * sizeof(double));
  }
  static Vector broadcast(double x) { return vdupq_n_f64(x); }
  static Vector add(Vector a, Vector b) { return vaddq_f64(a, b); }
  static Vector sub(Vector a, Vector b) { return vsubq_f64(a, b); }
  static Vector mul(Vector a, Vector b) { return vmulq_f64(a, b); }
  // As integers, which have the same order, and NaN on top.
  static Vector max(Vector a, Vector b) {
    return vbslq_f64(vcgtq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)), a, b);
  }
  static Vector above(Vector a, Vector b) {
    return vreinterpretq_f64_u64(
        vandq_u64(vcgtq_f64(a, b), vreinterpretq_u64_f64(vdupq_n_f64(1.0))));
  }
  static Vector sqrt(Vector x) { return vsqrtq_f64(x); }
  static Vector swap_pairs(Vector x) { return vextq_f64(x, x, 1); }
  static Vector abs(Vector x) { return vabsq_f64(x); }
  static Vector fma(Vector x, Vector y, Vector z) { return vfmaq_f64(z, x, y); }
  static Vector fms(Vector x, Vector y, Vector z) { return vfmaq_f64(vnegq_f64(z), x, y); }
  static Vector add_square(Vector x, Vector sum) { return vfmaq_f64(sum, x, x); }
  static double sum(Vector v) { return vaddvq_f64(v); }
};

#include "kernels/algorithms.inl.hpp"

}  // namespace

const KernelTable neon::kTable = {"neon", kDTypes};

}  // namespace gradclip
