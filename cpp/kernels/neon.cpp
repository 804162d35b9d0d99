// The kernels for aarch64, all of which has NEON with float64 and FMA.
#include <arm_neon.h>

#include "kernels/table.hpp"

namespace gradclip {
namespace {

// By bytes: memory may be misaligned.
uint8x16_t load16(const std::byte* p) { return vld1q_u8(reinterpret_cast<const std::uint8_t*>(p)); }
void store16(std::byte* p, uint8x16_t v) { vst1q_u8(reinterpret_cast<std::uint8_t*>(p), v); }

template <class T>
struct NeonRow;

template <>
struct NeonRow<float> {
  static constexpr std::size_t kWidth = 4;
  static float32x4_t load(const std::byte* p) { return vreinterpretq_f32_u8(load16(p)); }
  static void store(std::byte* p, float32x4_t v) { store16(p, vreinterpretq_u8_f32(v)); }
  static float32x4_t broadcast(float x) { return vdupq_n_f32(x); }
  static float32x4_t mul(float32x4_t a, float32x4_t b) { return vmulq_f32(a, b); }
};

template <>
struct NeonRow<double> {
  static constexpr std::size_t kWidth = 2;
  static float64x2_t load(const std::byte* p) { return vreinterpretq_f64_u8(load16(p)); }
  static void store(std::byte* p, float64x2_t v) { store16(p, vreinterpretq_u8_f64(v)); }
  static float64x2_t broadcast(double x) { return vdupq_n_f64(x); }
  static float64x2_t mul(float64x2_t a, float64x2_t b) { return vmulq_f64(a, b); }
};

struct Isa {
  static constexpr std::size_t kWidth = 2;
  using Vector = float64x2_t;
  template <class T>
  using Row = NeonRow<T>;

  static Vector load_float32(const std::byte* p) {
    const uint8x8_t bytes = vld1_u8(reinterpret_cast<const std::uint8_t*>(p));
    return vcvt_f64_f32(vreinterpret_f32_u8(bytes));
  }
  static Vector load_float64(const std::byte* p) { return NeonRow<double>::load(p); }
  static Vector broadcast(double x) { return vdupq_n_f64(x); }
  static Vector add(Vector a, Vector b) { return vaddq_f64(a, b); }
  static Vector sub(Vector a, Vector b) { return vsubq_f64(a, b); }
  static Vector mul(Vector a, Vector b) { return vmulq_f64(a, b); }
  // Returns b where a is NaN; FMAXNM would give NaN for a signalling one.
  static Vector max(Vector a, Vector b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
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
