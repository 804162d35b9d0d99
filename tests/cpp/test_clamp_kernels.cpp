// Clamping one block: what is outside becomes a bound, every other bit stays, and no byte is
// written beside the block.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/fp_environment.hpp"
#include "support/memory.hpp"
#include "support/numbers.hpp"
#include "support/random.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

constexpr std::size_t kSizes[] = {0,   1,    2,    7,    8,    15,   31,   32,         33,
                                  127, 1000, 1023, 1024, 1025, 1026, 5000, kBlock - 1, kBlock};

// Bytes after a 64-byte boundary.
const std::vector<std::size_t> kOffsets = {0, 1, 2, 3, 4, 5, 6, 7};
const std::vector<std::size_t> kOffsetsOfLarge = {0, 3, 4, 8, 16, 56};

struct Bounds {
  double low;
  double high;
};

// What a type is compared in.
template <class T>
using Compute = std::conditional_t<Half<T>, float, T>;

template <class T>
Bounds as_compared(Bounds bounds) {
  return {static_cast<double>(static_cast<Compute<T>>(bounds.low)),
          static_cast<double>(static_cast<Compute<T>>(bounds.high))};
}

template <class T>
bool is_outside(T x, Bounds bounds) {
  const auto [low, high] = as_compared<T>(bounds);
  return to_double(x) < low || to_double(x) > high;
}

template <class T>
T clamped(T x, Bounds bounds) {
  const auto [low, high] = as_compared<T>(bounds);
  if (to_double(x) < low) return from_double<T>(low);
  if (to_double(x) > high) return from_double<T>(high);
  return x;
}

template <class T>
std::size_t clamp(const KernelTable& table, const std::byte* x, std::byte* out, std::size_t n,
                  Bounds bounds) {
  const FpEnvironment environment(Rounding::kNearest);
  return table[dtype_of<T>()].clamp(x, out, n, bounds.low, bounds.high);
}

// As a pattern of the same size as T has it: quiet and signaling, of both signs, any payload.
template <class T>
T random_nan(Random& random) {
  if constexpr (Half<T>) {
    const auto sign = random.one_in(2) ? kSignBit : 0;
    return with_bits<T>(sign | kInfinityBits<T> |
                        random.between(1u, (1u << Format<T>::kMantissaBits) - 1));
  } else {
    using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    constexpr int kMantissaBits = std::numeric_limits<T>::digits - 1;
    constexpr Bits kMantissa = (Bits{1} << kMantissaBits) - 1;
    constexpr Bits kSign = Bits{1} << (8 * sizeof(T) - 1);
    const Bits payload = random.between(Bits{1}, kMantissa);
    const Bits bits = (random.one_in(2) ? kSign : 0) | (kSign - 1 - kMantissa) | payload;
    T result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
  }
}

// Every kind of number in turn, many of them at the bounds and beside them.
template <class T>
std::vector<T> mixture(std::size_t n, Bounds bounds) {
  using M = Magnitudes<T>;
  Random random(n);
  std::vector<T> values(n);
  for (T& value : values) {
    const double bound = random.one_in(2) ? bounds.low : bounds.high;
    switch (random.between(0, 8)) {
      case 0:
        value = random_nan<T>(random);
        break;
      case 1:
        value = random.one_in(2) ? infinity<T>() : negative(infinity<T>());
        break;
      case 2:
        value = from_double<T>(random.one_in(2) ? -0.0 : 0.0);
        break;
      case 3:
        value = from_double<T>(random.between(-9, 9) * M::kSubnormal);
        break;
      case 4:
        value = from_double<T>(random.one_in(2) ? M::kMost : -M::kMost);
        break;
      case 5:
        value = from_double<T>(bound);
        break;
      case 6:
        value = from_double<T>(bound * random.positive(-1, 0));
        break;
      default:
        value = from_double<T>(random.real(-3, 3));
    }
  }
  return values;
}

template <class T>
void check_clamping(std::size_t n, Bounds bounds) {
  CAPTURE(n);
  CAPTURE(bounds.low);
  CAPTURE(bounds.high);
  const std::vector<T> values = mixture<T>(n, bounds);
  std::vector<T> expected;
  std::size_t outside = 0;
  for (const T x : values) {
    expected.push_back(clamped(x, bounds));
    outside += is_outside(x, bounds);
  }
  for (const std::size_t offset : n > 1000 ? kOffsetsOfLarge : kOffsets) {
    CAPTURE(offset);
    for_each_isa([&](const KernelTable& table) {
      CAPTURE(table.name);
      Elements<T> x(values, offset);
      Elements<T> out(std::vector<T>(n, from_double<T>(5)), 63 - offset);
      CHECK(clamp<T>(table, x.data(), out.data(), n, bounds) == outside);
      CHECK(out.same_bits(expected.data()));
      CHECK(out.guards_are_intact());
      CHECK(x.same_bits(values.data()));
      CHECK(clamp<T>(table, x.data(), x.data(), n, bounds) == outside);
      CHECK(x.same_bits(expected.data()));
      CHECK(x.guards_are_intact());
    });
  }
}

// One block of these values, clamped on every instruction set, is what the reference makes of it.
template <class T>
void check_values(const std::vector<T>& values, Bounds bounds) {
  std::vector<T> expected;
  for (const T x : values) expected.push_back(clamped(x, bounds));
  for_each_isa([&](const KernelTable& table) {
    CAPTURE(table.name);
    Elements<T> x(values, 4);
    clamp<T>(table, x.data(), x.data(), values.size(), bounds);
    CHECK(x.same_bits(expected.data()));
  });
}

TEST_CASE_TEMPLATE("every element is clamped, in place and not", T, Float16, Bfloat16, float,
                   double) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const std::size_t n : kSizes) {
    for (const Bounds bounds :
         {Bounds{-0.7, 0.7}, Bounds{0.0, 0.0}, Bounds{-0.0, 0.0}, Bounds{1e-3, 3.0},
          Bounds{-infinity, 1.0}, Bounds{-2.0, infinity}, Bounds{-infinity, infinity}}) {
      check_clamping<T>(n, bounds);
    }
  }
}

TEST_CASE_TEMPLATE("numbers inside, the bounds among them, keep every bit", T, Float16, Bfloat16,
                   float, double) {
  using M = Magnitudes<T>;
  for_each_isa([&](const KernelTable& table) {
    CAPTURE(table.name);
    for (const double bound : {M::kMost, 1.0, 0x1p-8, M::kSubnormal}) {
      const std::vector<T> values(100, from_double<T>(-bound));
      Elements<T> x(values, 8);
      clamp<T>(table, x.data(), x.data(), values.size(), {-bound, bound});
      CHECK(x.same_bits(values.data()));
    }
  });
}

TEST_CASE_TEMPLATE("zeros keep their sign at bounds of either zero", T, Float16, Bfloat16, float,
                   double) {
  std::vector<T> zeros;
  for (int i = 0; i < 70; ++i) zeros.push_back(from_double<T>(i % 3 == 0 ? -0.0 : 0.0));
  for_each_isa([&](const KernelTable& table) {
    CAPTURE(table.name);
    for (const Bounds bounds :
         {Bounds{0.0, 0.0}, Bounds{-0.0, -0.0}, Bounds{-0.0, 0.0}, Bounds{0.0, 1.0},
          Bounds{-1.0, -0.0}, Bounds{-1.0, 0.0}, Bounds{-0.0, 1.0}}) {
      CAPTURE(bounds.low);
      CAPTURE(bounds.high);
      Elements<T> x(zeros, 2);
      clamp<T>(table, x.data(), x.data(), zeros.size(), bounds);
      CHECK(x.same_bits(zeros.data()));
    }
  });
}

TEST_CASE_TEMPLATE("a bound of zero is written with its own sign", T, Float16, Bfloat16, float,
                   double) {
  for (const double bound : {0.0, -0.0}) {
    for (const double outside : {-1.0, 1.0}) {
      const std::vector<T> values(40, from_double<T>(outside));
      const std::vector<T> expected(40, from_double<T>(bound));
      for_each_isa([&](const KernelTable& table) {
        CAPTURE(table.name);
        Elements<T> x(values, 4);
        clamp<T>(table, x.data(), x.data(), values.size(), {bound, bound});
        CHECK(x.same_bits(expected.data()));
      });
    }
  }
}

TEST_CASE_TEMPLATE("NaNs keep every bit", T, Float16, Bfloat16, float, double) {
  Random random(7);
  std::vector<T> nans;
  for (int i = 0; i < 1500; ++i) nans.push_back(random_nan<T>(random));
  for (const Bounds bounds : {Bounds{-1.0, 1.0}, Bounds{0.0, 0.0}, Bounds{2.0, 3.0}}) {
    for_each_isa([&](const KernelTable& table) {
      CAPTURE(table.name);
      Elements<T> x(nans, 4);
      clamp<T>(table, x.data(), x.data(), nans.size(), bounds);
      CHECK(x.same_bits(nans.data()));
    });
  }
}

TEST_CASE_TEMPLATE("all 16-bit values, between bounds that are halves of an ulp and beside them", T,
                   Float16, Bfloat16) {
  for (unsigned first = 0; first < 1u << 16; first += kBlock) {
    std::vector<T> values;
    for (unsigned i = 0; i < kBlock; ++i) values.push_back(with_bits<T>(first + i));
    const double ulp = std::ldexp(1.0, -Format<T>::kMantissaBits);
    // To even, downwards and upwards; just above and below the middle; a float32's own rounding.
    for (const double bound : {1.0 + 0.5 * ulp, 1.0 + 1.5 * ulp, 1.0 + 0.500001 * ulp,
                               1.0 + 0.499999 * ulp, 1.0 + 0.5 * ulp + 1e-12, 0.1, 1e5, 1e39}) {
      CAPTURE(bound);
      check_values(values, {-bound, bound});
      check_values(values, {0.0, bound});
    }
  }
}

TEST_CASE_TEMPLATE("a bound is rounded to nearest, to even between two", T, Float16, Bfloat16) {
  const double ulp = std::ldexp(1.0, -Format<T>::kMantissaBits);
  const auto written = [](const KernelTable& table, double bound) {
    Elements<T> x(std::vector<T>(1, from_double<T>(3.0)), 0);
    clamp<T>(table, x.data(), x.data(), 1, {-bound, bound});
    return to_double(x[0]);
  };
  for_each_isa([&](const KernelTable& table) {
    CAPTURE(table.name);
    CHECK(written(table, 1.0 + 0.5 * ulp) == 1.0);
    CHECK(written(table, 1.0 + 0.51 * ulp) == 1.0 + ulp);
    CHECK(written(table, 1.0 + 1.5 * ulp) == 1.0 + 2.0 * ulp);
    CHECK(written(table, 1.0 + 1.49 * ulp) == 1.0 + ulp);
  });
}

TEST_CASE("a float64 bound is rounded to nearest for float32") {
  for_each_isa([&](const KernelTable& table) {
    Elements<float> x(std::vector<float>{5.0f, -5.0f, 0.1f}, 0);
    clamp<float>(table, x.data(), x.data(), 3, {-0.3, 0.3});
    CHECK(x[0] == 0.3f);
    CHECK(x[1] == -0.3f);
    CHECK(x[2] == 0.1f);
  });
}

TEST_CASE_TEMPLATE("where the bounds cross, the upper one wins, as in torch and NumPy", T, Float16,
                   Bfloat16, float, double) {
  for_each_isa([&](const KernelTable& table) {
    CAPTURE(table.name);
    Elements<T> x(std::vector<T>(70, from_double<T>(0.5)), 4);
    clamp<T>(table, x.data(), x.data(), 70, {2.0, 1.0});
    for (std::size_t i = 0; i < 70; ++i) CHECK(to_double(x[i]) == 1.0);
  });
}

}  // namespace
}  // namespace gradclip::test
