// The floating-point mode a region computes in, whatever mode its caller is in.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace gradclip {

enum class Rounding { kNearest, kTowardZero };

// Saves the mode and the sticky flags, sets a plain IEEE mode (subnormals kept, exceptions masked)
// and restores every bit at the end of the scope. The compiler may move arithmetic across its
// ends, so what it guards must be a call that it can't see into. Costs about 10 ns.
class FpEnvironment {
 public:
#if defined(__x86_64__)
  explicit FpEnvironment(Rounding rounding) noexcept : control_(_mm_getcsr()) {
    _mm_setcsr(rounding == Rounding::kNearest ? kMasked : kMasked | _MM_ROUND_TOWARD_ZERO);
  }
  ~FpEnvironment() { _mm_setcsr(control_); }

 private:
  static constexpr unsigned kMasked = 0x1f80;
  unsigned control_;
#elif defined(__aarch64__)
  explicit FpEnvironment(Rounding rounding) noexcept {
    asm volatile("mrs %0, fpcr" : "=r"(control_));
    asm volatile("mrs %0, fpsr" : "=r"(status_));
    const std::uint64_t mode = rounding == Rounding::kNearest ? 0 : kTowardZeroBits;
    asm volatile("msr fpcr, %0" : : "r"(mode) : "memory");
  }
  ~FpEnvironment() {
    asm volatile("msr fpcr, %0" : : "r"(control_) : "memory");
    asm volatile("msr fpsr, %0" : : "r"(status_) : "memory");
  }

 private:
  static constexpr std::uint64_t kTowardZeroBits = std::uint64_t{3} << 22;
  std::uint64_t control_;
  std::uint64_t status_;
#else
#error "gradclip: tell FpEnvironment how this architecture sets its floating-point mode"
#endif

 public:
  FpEnvironment(const FpEnvironment&) = delete;
  FpEnvironment& operator=(const FpEnvironment&) = delete;
};

}  // namespace gradclip
