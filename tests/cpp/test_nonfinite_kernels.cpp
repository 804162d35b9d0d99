// Infinities and NaNs in a block: NaN beats inf beats finite, for every norm.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "support/blocks.hpp"

namespace gradclip::test {
namespace {

constexpr std::size_t kSizesOfThese[] = {2, 34, 256, kBlock - 2};

// Around and beside an infinity or NaN.
template <class T>
std::vector<T> backgrounds() {
  using M = Magnitudes<T>;
  return {from_double<T>(0), from_double<T>(1), from_double<T>(M::kMost),
          from_double<T>(M::kSubnormal)};
}

template <class T, class Check>
void for_each_norm(const std::vector<T>& values, const Check& check) {
  for (const Order order : kOrders) {
    CAPTURE(order.p);
    for_each_placement(values, order, Of::kReals, check, 2);
    if (!Half<T>) for_each_placement(values, order, Of::kPairs, check, 2);
  }
}

TEST_CASE_TEMPLATE("an infinity at any place makes every norm infinite", T, Float16, Bfloat16,
                   float, double) {
  for (const std::size_t n : kSizesOfThese) {
    for (const std::size_t place : places(n)) {
      for (const T background : backgrounds<T>()) {
        CAPTURE(n);
        CAPTURE(place);
        CAPTURE(to_double(background));
        std::vector<T> values(n, background);
        values[place] = place % 2 == 0 ? infinity<T>() : negative(infinity<T>());
        values[n - 1 - place] = values[place];
        for_each_norm(values, [](const Partial& sum) { CHECK(std::isinf(sum.hi)); });
      }
    }
  }
}

TEST_CASE_TEMPLATE("a NaN at any place makes every norm NaN, also beside an infinity", T, Float16,
                   Bfloat16, float, double) {
  for (const std::size_t n : kSizesOfThese) {
    for (const std::size_t place : places(n)) {
      for (T background : backgrounds<T>()) {
        if (to_double(background) == 1.0) background = infinity<T>();
        CAPTURE(n);
        CAPTURE(place);
        CAPTURE(to_double(background));
        // x86's own NaN is negative.
        for (const T nan : {quiet_nan<T>(), negative(quiet_nan<T>()), signaling_nan<T>()}) {
          std::vector<T> values(n, background);
          values[place] = nan;
          for_each_norm(values, [](const Partial& sum) { CHECK(std::isnan(sum.hi)); });
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("a lone infinity or NaN counts in blocks of odd sizes", T, Float16, Bfloat16,
                   float, double) {
  for (const std::size_t n : {1u, 33u, 255u, static_cast<unsigned>(kBlock) - 1u}) {
    for (const std::size_t place : places(n)) {
      for (const Order order : kOrders) {
        CAPTURE(n);
        CAPTURE(place);
        CAPTURE(order.p);
        std::vector<T> values(n, from_double<T>(1));
        values[place] = infinity<T>();
        for_each_placement(values, order, Of::kReals,
                           [](const Partial& sum) { CHECK(std::isinf(sum.hi)); });
        values[n / 2] = negative(quiet_nan<T>());
        for_each_placement(values, order, Of::kReals,
                           [](const Partial& sum) { CHECK(std::isnan(sum.hi)); });
      }
    }
  }
}

}  // namespace
}  // namespace gradclip::test
