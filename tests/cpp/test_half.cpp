// The 16-bit types, all 65,536 values of each: what is read, multiplied and rounded.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/fp_environment.hpp"
#include "support/blocks.hpp"
#include "support/half.hpp"
#include "support/products.hpp"
#include "support/random.hpp"

namespace gradclip::test {
namespace {

constexpr unsigned kValues = 1u << 16;

template <Half T>
std::vector<T> all_values() {
  std::vector<T> all;
  for (unsigned i = 0; i < kValues; ++i) all.push_back(with_bits<T>(i));
  return all;
}

// All values times a factor, in whole blocks, on one instruction set.
template <Half T>
std::vector<T> scaled(const KernelTable& table, Steps factor) {
  std::vector<T> values = all_values<T>();
  const FpEnvironment environment(Rounding::kNearest);
  for (unsigned first = 0; first < kValues; first += kBlock) {
    auto* const block = reinterpret_cast<std::byte*>(&values[first]);
    table[dtype_of<T>()].scale(block, block, kBlock, factor, nullptr);
  }
  return values;
}

// Where two lists differ first; kValues if they don't.
template <Half T>
unsigned first_difference(const std::vector<T>& a, const std::vector<T>& b) {
  unsigned i = 0;
  while (i < kValues && a[i].bits == b[i].bits) ++i;
  return i;
}

template <Half T>
void check_products(Steps factor) {
  CAPTURE(factor.first);
  CAPTURE(factor.second);
  std::vector<T> expected;
  for (const T x : all_values<T>()) expected.push_back(product(x, factor, Rounding::kNearest));
  for_each_isa([&](const KernelTable& table) {
    CAPTURE(table.name);
    CHECK(first_difference(scaled<T>(table, factor), expected) == kValues);
  });
}

TEST_CASE("the reference knows the formats") {
  CHECK(decode(Float16{0x3c00}) == 1.0);
  CHECK(decode(Float16{0xc000}) == -2.0);
  CHECK(decode(Float16{0x7bff}) == 65504.0);
  CHECK(decode(Float16{0x0001}) == 0x1p-24);
  CHECK(decode(Float16{0x0400}) == 0x1p-14);
  CHECK(decode(Float16{0xfc00}) == -HUGE_VAL);
  CHECK(std::isnan(decode(Float16{0x7c01})));
  CHECK(decode(Bfloat16{0x3f80}) == 1.0);
  CHECK(decode(Bfloat16{0xc049}) == -3.140625);
  CHECK(decode(Bfloat16{0x7f7f}) == 0x1.fep127);
  CHECK(decode(Bfloat16{0x0001}) == 0x1p-133);
  CHECK(decode(Bfloat16{0x7f80}) == HUGE_VAL);
  CHECK(std::isnan(decode(Bfloat16{0xff81})));
  CHECK(nearest<Float16>(65519.0).bits == 0x7bff);
  CHECK(nearest<Float16>(65520.0).bits == 0x7c00);
  CHECK(nearest<Float16>(-0x1p-25).bits == 0x8000);
  CHECK(nearest<Float16>(0x1.8p-24).bits == 0x0002);
  CHECK(nearest<Bfloat16>(0x1.01p0).bits == 0x3f80);
  CHECK(nearest<Bfloat16>(0x1.03p0).bits == 0x3f82);
  CHECK(nearest<Bfloat16>(0x1.ffp127).bits == 0x7f80);
}

TEST_CASE_TEMPLATE("every value is read as what it stands for, in every lane", T, Float16,
                   Bfloat16) {
  for_each_isa([](const KernelTable& table) {
    CAPTURE(table.name);
    unsigned wrong = 0;
    for (unsigned i = 0; i < kValues; ++i) {
      const T x = with_bits<T>(i);
      T row[kLanes] = {};
      row[i % kLanes] = x;
      const auto norm = [&](const T* first, std::size_t n, Order order) {
        return norm_of_block<T>(table, reinterpret_cast<const std::byte*>(first), n, order).hi;
      };
      const double square = norm(&x, 1, kTwo);
      const double magnitude = norm(row, kLanes, kOne);
      const double largest = norm(row, kLanes, kMax);
      const double exact = std::fabs(decode(x));
      if (is_nan(x)) {
        wrong += !std::isnan(square) || !std::isnan(magnitude) || !std::isnan(largest);
      } else {
        wrong += square != exact * exact || magnitude != exact || largest != exact;
      }
    }
    CHECK(wrong == 0);
  });
}

TEST_CASE_TEMPLATE("a factor of 1 keeps every number, and makes NaN quiet", T, Float16, Bfloat16) {
  std::vector<T> expected = all_values<T>();
  for (T& x : expected) {
    if (is_nan(x)) x = with_bits<T>(x.bits | kQuietBit<T>);
  }
  for_each_isa([&](const KernelTable& table) {
    CAPTURE(table.name);
    CHECK(first_difference(scaled<T>(table, {1.0, 1.0}), expected) == kValues);
  });
}

TEST_CASE_TEMPLATE("products are rounded to float32 and then to nearest even", T, Float16,
                   Bfloat16) {
  Random random(1);
  for (int round = 0; round < 15; ++round) {
    const double factor = random.positive(-20, 3);
    check_products<T>({static_cast<double>(static_cast<float>(factor)), 1.0});
  }
}

TEST_CASE_TEMPLATE("ties, overflow and subnormal products are rounded as well", T, Float16,
                   Bfloat16) {
  // Powers of two make ties of subnormal products, 1.5 and 1.25 of others.
  for (const double factor : {0.0, 0.5, 0x1p-3, 0x1p-9, 0x1p-24, 0x1p-126, 0x1p-149, 1.5, 1.25,
                              0x1.01p0, 0x1.008p0, 2.0, 100.0, 0x1p127}) {
    check_products<T>({factor, 1.0});
    check_products<T>({-factor, 1.0});
  }
}

TEST_CASE_TEMPLATE("a second step is a float32 product of its own", T, Float16, Bfloat16) {
  for (const double second : {0x1p-1, 0x1p-8, 0x1p-23, 0x1p-128}) {
    check_products<T>({static_cast<double>(0.7f), second});
    check_products<T>({0x1p-126, second});
  }
}

}  // namespace
}  // namespace gradclip::test
