#include "core/values.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "core/blocks.hpp"
#include "dispatch/dispatch.hpp"

namespace gradclip {
namespace {

// What a dtype's finite numbers are: multiples of the last place of their binade.
struct Format {
  int digits;
  int min_exponent;  // of the least normal number, 2^min_exponent
  double largest;
};

constexpr Format format(DType dtype) noexcept {
  switch (dtype) {
    case DType::kFloat16:
      return {11, -14, 65504.0};
    case DType::kBfloat16:
      return {8, -126, 0x1.fep127};
    case DType::kFloat32:
      return {24, -126, 0x1.fffffep127};
    case DType::kFloat64:
      return {53, -1022, std::numeric_limits<double>::max()};
  }
  __builtin_unreachable();
}

// The greatest number of the dtype at or below x.
double rounded_down(double x, DType dtype) noexcept {
  const Format own = format(dtype);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (std::isinf(x) || x == 0.0) return x;
  if (x > own.largest) return own.largest;
  if (x < -own.largest) return -kInfinity;
  const int last_place = std::max(std::ilogb(x), own.min_exponent) - (own.digits - 1);
  return std::ldexp(std::floor(std::ldexp(x, -last_place)), last_place);
}

[[gnu::noinline]] std::optional<Bounds> bounds_in_environment(double low, double high,
                                                              DType dtype) noexcept {
  const Bounds bounds{-rounded_down(-low, dtype), rounded_down(high, dtype)};
  if (bounds.low > bounds.high) return std::nullopt;
  return bounds;
}

}  // namespace

std::optional<Bounds> bounds_inside(double low, double high, DType dtype) noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  return bounds_in_environment(low, high, dtype);
}

std::size_t clip_values(const Work& work, const std::array<Bounds, kDTypeCount>& bounds) noexcept {
  const KernelTable& table = kernels();
  std::atomic<std::size_t> changed{0};
  transform(work, Rounding::kNearest,
            [&](const std::byte* source, std::byte* target, std::size_t count, DType dtype) {
              const auto [low, high] = bounds[index(dtype)];
              const std::size_t outside = table[dtype].clamp(source, target, count, low, high);
              if (outside > 0) changed.fetch_add(outside, std::memory_order_relaxed);
              return outside > 0;
            });
  return changed.load();
}

}  // namespace gradclip
