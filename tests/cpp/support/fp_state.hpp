// The whole floating-point control and status register, or both of them.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace gradclip::test {

#if defined(__x86_64__)
using State = std::uint32_t;
inline State state() { return _mm_getcsr(); }
inline void set_state(State s) { _mm_setcsr(s); }

// Exceptions masked or not, rounding up, down and toward zero, FTZ, DAZ, flags raised or not.
inline constexpr State kStates[] = {0x1f80, 0x1fbf, 0x5f80, 0x3f80, 0x7f80,
                                    0x9f80, 0x1fc0, 0x9fc0, 0xffff, 0x8040};
#elif defined(__aarch64__)
using State = std::uint64_t;  // FPSR above FPCR
inline State state() {
  std::uint64_t control, status;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  asm volatile("mrs %0, fpsr" : "=r"(status));
  return status << 32 | control;
}
inline void set_state(State s) {
  asm volatile("msr fpcr, %0" : : "r"(s & 0xffffffff) : "memory");
  asm volatile("msr fpsr, %0" : : "r"(s >> 32) : "memory");
}

// Rounding up, down and toward zero, FZ, DN, flags raised or not.
inline constexpr State kStates[] = {0,        0x1f00000000, 1u << 22,     2u << 22,
                                    3u << 22, 1u << 24,     0x9f01c00000, 1u << 25};
#endif

// Whether it is the mode of a region that rounds so, whatever flags are raised.
inline bool is_mode_of_region(State s, bool nearest) {
#if defined(__x86_64__)
  return (s & ~State{0x3f}) == (nearest ? 0x1f80 : 0x7f80);
#else
  return (s & 0xffffffff) == (nearest ? 0u : 3u << 22);
#endif
}

}  // namespace gradclip::test
