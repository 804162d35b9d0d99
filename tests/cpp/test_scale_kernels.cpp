// Scaling one block: each product as the processor's own multiplication gives it, and no byte
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
#include "support/products.hpp"
#include "support/random.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

constexpr std::size_t kSizes[] = {0,   1,   7,   8,    9,    31,   32,         33,    63,
                                  255, 256, 257, 1000, 1023, 1024, kBlock - 1, kBlock};

// Bytes after a 64-byte boundary. Large blocks are scaled up to a boundary first, where there is
// one between elements.
const std::vector<std::size_t> kOffsets = {0, 1, 2, 3, 4, 5, 6, 7};
const std::vector<std::size_t> kOffsetsOfLarge = {0, 3, 4, 8, 16, 56};

// What a type is multiplied in.
template <class T>
using Compute = std::conditional_t<Half<T>, float, T>;

// Two steps: a factor that is subnormal in the compute type, lifted.
template <class T>
std::vector<Steps> factors() {
  using Limits = std::numeric_limits<Compute<T>>;
  const double lift = std::ldexp(1.0, -Limits::max_exponent);
  const auto rounded = [](double x) { return static_cast<double>(static_cast<Compute<T>>(x)); };
  return {{1.0, 1.0},
          {rounded(0.7), 1.0},
          {rounded(1e-3), 1.0},
          {rounded(0x1.fffffffffffffp-1), 1.0},
          {static_cast<double>(Limits::denorm_min()), 1.0},
          {0.0, 1.0},
          {3.0, 1.0},
          {rounded(0.9), lift},
          {rounded(0x1.23456789p-9), lift}};
}

template <class T>
std::vector<T> products(const std::vector<T>& x, Steps factor, Rounding rounding) {
  std::vector<T> result;
  for (const T element : x) result.push_back(product(element, factor, rounding));
  return result;
}

template <class T>
void scale(const KernelTable& table, const std::byte* x, std::byte* out, std::size_t n,
           Steps factor, Rounding rounding, const std::byte* next = nullptr) {
  const FpEnvironment environment(rounding);
  table[dtype_of<T>()].scale(x, out, n, factor, next);
}

// A few of every kind of number in turn.
template <class T>
std::vector<T> mixture(std::size_t n) {
  using M = Magnitudes<T>;
  Random random(n);
  std::vector<T> values(n);
  for (T& value : values) {
    switch (random.between(0, 9)) {
      case 0:
        value = random.one_in(2) ? infinity<T>() : negative(quiet_nan<T>());
        break;
      case 1:
        value = from_double<T>(random.one_in(2) ? M::kMost : -0.0);
        break;
      case 2:
        value = from_double<T>(random.between(-9, 9) * M::kSubnormal);
        break;
      case 3:
        value = from_double<T>(random.real(std::ilogb(M::kSubnormal), std::ilogb(M::kMost) - 1));
        break;
      default:
        value = from_double<T>(random.real(-3, 3));
    }
  }
  return values;
}

template <class T>
void check_scaling(std::size_t n, Steps factor, Rounding rounding) {
  CAPTURE(n);
  CAPTURE(factor.first);
  CAPTURE(factor.second);
  const std::vector<T> values = mixture<T>(n);
  const std::vector<T> expected = products(values, factor, rounding);
  for (const std::size_t offset : n > 1000 ? kOffsetsOfLarge : kOffsets) {
    CAPTURE(offset);
    for_each_isa([&](const KernelTable& table) {
      CAPTURE(table.name);
      Elements<T> x(values, offset);
      Elements<T> out(std::vector<T>(n, from_double<T>(5)), 63 - offset);
      scale<T>(table, x.data(), out.data(), n, factor, rounding);
      CHECK(out.same_bits(expected.data()));
      CHECK(out.guards_are_intact());
      CHECK(x.same_bits(values.data()));
      scale<T>(table, x.data(), x.data(), n, factor, rounding, out.data());
      CHECK(x.same_bits(expected.data()));
      CHECK(out.same_bits(expected.data()));  // what is read next is only fetched
      CHECK(x.guards_are_intact());
    });
  }
}

TEST_CASE_TEMPLATE("products are rounded to nearest, in place and not", T, Float16, Bfloat16, float,
                   double) {
  for (const std::size_t n : kSizes) {
    for (const Steps factor : factors<T>()) check_scaling<T>(n, factor, Rounding::kNearest);
  }
}

TEST_CASE_TEMPLATE("products are rounded toward zero, in place and not", T, float, double) {
  for (const std::size_t n : kSizes) {
    for (const Steps factor : factors<T>()) check_scaling<T>(n, factor, Rounding::kTowardZero);
  }
}

TEST_CASE_TEMPLATE("each number by a factor of its own", T, Float16, float, double) {
  using Compute = std::conditional_t<Half<T>, float, T>;
  Random random(1);
  for (const std::size_t n : kSizes) {
    CAPTURE(n);
    const std::vector<T> values = mixture<T>(n);
    std::vector<Compute> factors;
    std::vector<T> expected;
    for (const T value : values) {
      const double factor = random.one_in(4) ? 1.0 : random.positive(-20, 0);
      factors.push_back(static_cast<Compute>(factor));
      expected.push_back(products<T>({value}, {factors.back(), 1.0}, Rounding::kNearest)[0]);
    }
    for (const std::size_t offset : {0u, 3u, 4u}) {
      for_each_isa([&](const KernelTable& table) {
        CAPTURE(table.name);
        const Elements<T> x(values, offset);
        const Elements<Compute> by(factors, 63 - offset);
        Elements<T> out(std::vector<T>(n, from_double<T>(5)), offset + 8);
        const FpEnvironment environment(Rounding::kNearest);
        table[dtype_of<T>()].scale_each(x.data(), out.data(), n, by.data());
        CHECK(out.same_bits(expected.data()));
        CHECK(out.guards_are_intact());
      });
    }
  }
}

TEST_CASE_TEMPLATE("a NaN factor makes everything NaN", T, Float16, Bfloat16, float, double) {
  const std::vector<T> values = mixture<T>(300);
  // The second has all bits of the payload: rounded up, it would be a zero.
  for (const std::uint64_t nan : {std::uint64_t{0x7ff} << 52 | std::uint64_t{1} << 51,
                                  ~std::uint64_t{0}, ~std::uint64_t{0} >> 1}) {
    double factor;
    std::memcpy(&factor, &nan, sizeof factor);
    for_each_isa([&](const KernelTable& table) {
      Elements<T> x(values, 3);
      scale<T>(table, x.data(), x.data(), values.size(), {factor, 1.0}, Rounding::kNearest);
      std::size_t nans = 0;
      for (std::size_t i = 0; i < values.size(); ++i) nans += std::isnan(to_double(x[i]));
      CHECK(nans == values.size());
      CHECK(x.guards_are_intact());
    });
  }
}

}  // namespace
}  // namespace gradclip::test
