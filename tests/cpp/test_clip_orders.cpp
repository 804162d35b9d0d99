// Clips by norms of any order, and of lists with 16-bit arrays.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/clip.hpp"
#include "core/passes.hpp"
#include "support/arrays.hpp"
#include "support/clips.hpp"
#include "support/products.hpp"

namespace gradclip::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kOrders[] = {0.5, 1.0, 2.0, 3.0, 7.5, 1000.0, kInfinity};

Precision precision_of(Arrays arrays, double p) {
  const SpanList spans = arrays.spans();
  return precision(Work(spans).contents(), Order::of(p));
}

Arrays list(std::initializer_list<Element> elements) {
  Arrays arrays;
  for (const Element element : elements) arrays.add({3.0, 4.0}, element);
  return arrays;
}

TEST_CASE("products are rounded to nearest as soon as one array is of 16 bits") {
  for (const double p : kOrders) {
    for (const DType half : {DType::kFloat16, DType::kBfloat16}) {
      CHECK(precision_of(list({{half}}), p).products == Rounding::kNearest);
      CHECK(precision_of(list({{DType::kFloat64}, {half}}), p).products == Rounding::kNearest);
    }
    CHECK(precision_of(list({{DType::kFloat32}, {DType::kFloat64}, kComplex64, kComplex128}), p)
              .products == Rounding::kTowardZero);
  }
}

TEST_CASE("slack is twice what a norm may be short of") {
  CHECK(precision_of(list({{DType::kFloat64}}), 2.0).slack == 0.0);
  CHECK(precision_of(list({kComplex128}), 2.0).slack == 0.0);
  CHECK(precision_of(list({{DType::kFloat64}}), 1.0).slack == 0.0);
  CHECK(precision_of(list({{DType::kFloat64}}), kInfinity).slack == 0.0);
  for (const Element narrow : {Element{DType::kFloat16}, Element{DType::kBfloat16},
                               Element{DType::kFloat32}, kComplex64}) {
    CHECK(precision_of(list({{DType::kFloat64}, narrow}), 2.0).slack == 0x1p-43);
    CHECK(precision_of(list({{DType::kFloat64}, narrow}), 1.0).slack == 0x1p-42);
    CHECK(precision_of(list({{DType::kFloat64}, narrow}), kInfinity).slack == 0x1p-42);
  }
  CHECK(precision_of(list({kComplex128}), 1.0).slack == 0x1p-51);
  CHECK(precision_of(list({kComplex128}), kInfinity).slack == 0x1p-51);
  CHECK(precision_of(list({{DType::kFloat64}}), 3.0).slack == 0x1p-48);
  CHECK(precision_of(list({{DType::kFloat64}}), 0.25).slack == 4 * 0x1p-48);
  CHECK(precision_of(list({{DType::kFloat64}}), 5e-324).slack == 0x1p-36);
}

TEST_CASE("clipped lists are not clipped again, in any order") {
  Random random(1);
  constexpr Element kElements[] = {{DType::kFloat32}, {DType::kFloat64}, kComplex64, kComplex128};
  for (const double p : kOrders) {
    const Order order = Order::of(p);
    for (int round = 0; round < 300; ++round) {
      const int low = random.between(-20, 20);
      Arrays arrays;
      bool narrow = false;
      for (int i = random.between(1, 4); i > 0; --i) {
        const Element element = kElements[random.between(0, 3)];
        narrow |= element.dtype == DType::kFloat32;
        const std::size_t size = 2 * random.between<std::size_t>(1, 100);
        arrays.add(random_values(random, size, low, low + 9), element);
      }
      CAPTURE(p);
      CAPTURE(round);
      const double max_norm = norm_of(arrays, 1.0, order) * random.positive(-20, -1);
      clip(arrays, max_norm, {}, order);
      const double norm = norm_of(arrays, 1.0, order);
      CHECK(norm <= max_norm);
      CHECK(norm >= max_norm * (1.0 - (narrow ? 0x1p-21 : 0x1p-40)));
      const Arrays once = arrays;
      CHECK(clip(arrays, max_norm, {}, order) == 1.0);
      CHECK(arrays.same_bytes(once));
    }
  }
}

TEST_CASE("lists of one huge or tiny element are not clipped again either") {
  for (const double p : kOrders) {
    const Order order = Order::of(p);
    for (const double x : {1e-300, 1e-20, 1.1, 1e30, 1.7e308}) {
      for (const double ratio : {0.1, 0.7, 1 - 0x1p-50, 1 - 0x1p-53}) {
        Arrays arrays;
        arrays.add({x, 0.3 * x, 0.0, x}, kComplex128);
        const double max_norm = ratio * norm_of(arrays, 1.0, order);
        if (!std::isfinite(max_norm)) continue;
        clip(arrays, max_norm, {}, order);
        const Arrays once = arrays;
        CAPTURE(p);
        CAPTURE(x);
        CAPTURE(ratio);
        CHECK(clip(arrays, max_norm, {}, order) == 1.0);
        CHECK(arrays.same_bytes(once));
      }
    }
  }
}

TEST_CASE("however tiny the order is, what is written has at most max_norm") {
  for (const double p : {5e-324, 1e-310, 1e-300, 1e-18, 1e-14, 1e-6}) {
    for (const double x : {1e-300, 0.5, 1.7e308}) {
      Arrays arrays;
      arrays.add({0.0, x}, DType::kFloat64);
      const double max_norm = 0.4 * x;
      CAPTURE(p);
      CAPTURE(x);
      const double factor = clip(arrays, max_norm, {}, Order::of(p));
      CHECK((factor >= 0.0 && factor <= 0.4));
      const double written = arrays.read(0)[1];
      CHECK((written >= 0.0 && written <= max_norm));
    }
  }
}

TEST_CASE("a list with 16-bit arrays is multiplied by the factor, to nearest, and 16 bits twice") {
  Random random(2);
  for (const double p : {1.0, 2.0, 3.0, kInfinity}) {
    const Order order = Order::of(p);
    Arrays arrays;
    arrays.add(random_values(random, 300, -9, 9), DType::kFloat16, 1);
    arrays.add(random_values(random, 300, -9, 9), DType::kBfloat16, 0, 2);
    arrays.add(random_values(random, 300, -9, 9), DType::kFloat32);
    arrays.add(random_values(random, 300, -9, 9), DType::kFloat64);
    const double norm = norm_of(arrays, 1.0, order);
    const double max_norm = 0.3 * norm;
    const double slack = precision_of(arrays, p).slack;
    const DTypeSteps factor =
        steps(clip_factor(max_norm, norm, 0.0, 1.0, slack), Rounding::kTowardZero);
    Arrays expected = arrays;
    expected.transform([&](double x, DType dtype) {
      return with_type(dtype, [&]<class T>(T) {
        return to_double(product(from_double<T>(x), factor[index(dtype)], Rounding::kNearest));
      });
    });
    clip(arrays, max_norm, {}, order);
    CHECK(arrays.same_bytes(expected));
    CHECK(norm_of(arrays, 1.0, order) == doctest::Approx(max_norm).epsilon(0x1p-8));
  }
}

TEST_CASE("16-bit arrays are zeroed, made NaN and left alone like others") {
  for (const Element element : {Element{DType::kFloat16}, Element{DType::kBfloat16}, kComplex64}) {
    Arrays arrays;
    arrays.add({3.0, -4.0}, element, 1, 2);
    const Arrays before = arrays;
    CHECK(clip(arrays, 5.0) == 1.0);
    CHECK(arrays.same_bytes(before));
    CHECK(clip(arrays, 5.0, {.inv_scale = 0.5}) == 1.0);
    CHECK(arrays.read(0) == Values{1.5, -2.0});
    const SpanList spans = arrays.spans();
    write(Work(spans), plan_nonfinite(std::nan(""), NonFinite::kPropagate));
    for (const double x : arrays.read(0)) CHECK(std::isnan(x));
    write(Work(spans), plan_nonfinite(kInfinity, NonFinite::kZero));
    for (const double x : arrays.read(0)) CHECK((x == 0.0 && !std::signbit(x)));
  }
}

}  // namespace
}  // namespace gradclip::test
