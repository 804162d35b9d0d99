// What a clip writes, judged by the exact norm of the result.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <utility>

#include "core/clip.hpp"
#include "core/passes.hpp"
#include "support/arrays.hpp"
#include "support/clips.hpp"

namespace gradclip::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Arrays list(std::initializer_list<double> values, DType dtype) {
  Arrays arrays;
  arrays.add(values, dtype);
  return arrays;
}

Exact squared(double x) { return static_cast<Exact>(x) * static_cast<Exact>(x); }

// The norm is at most max_norm, and short of it by at most 4 ε.
void check_clipped(const Arrays& arrays, double max_norm, double epsilon) {
  const Exact sum = arrays.sum_of_squares();
  CHECK((sum <= squared(max_norm)));
  CHECK((sum >= squared(max_norm) * squared(1.0 - 4.0 * epsilon)));
}

TEST_CASE("the exact norm of what is written is max_norm, and never above") {
  Random random(1);
  for (int round = 0; round < 1000; ++round) {
    const bool narrow = random.one_in(2);
    const int low = narrow ? random.between(-20, 20) : random.between(-300, 300);
    Arrays arrays;
    for (int i = random.between(1, 5); i > 0; --i) {
      const DType dtype = narrow && random.one_in(2) ? DType::kFloat32 : DType::kFloat64;
      const bool pair = random.one_in(3);
      const std::size_t size = random.between<std::size_t>(1, 150) * (pair ? 2 : 1);
      arrays.add(random_values(random, size, low, low + 9), Element{dtype, pair});
    }
    ClipOptions options;
    if (random.one_in(2)) options.inv_scale = random.positive(-10, 10);
    const double norm = norm_of(arrays, options.inv_scale);
    const double max_norm = norm * random.positive(-60, -1);
    CAPTURE(round);
    const double factor = clip(arrays, max_norm, options);
    CHECK(factor <= options.inv_scale * max_norm / norm);
    check_clipped(arrays, max_norm, narrow ? 0x1p-23 : 0x1p-52);

    const Arrays once = arrays;
    CHECK(clip(arrays, max_norm) == 1.0);
    CHECK(arrays.same_bytes(once));
  }
}

TEST_CASE("eps makes the result smaller as the formula says") {
  Arrays arrays = list({3.0, 4.0}, DType::kFloat64);
  clip(arrays, 1.0, {.eps = 5.0});
  check_clipped(arrays, 0.5, 0x1p-52);
}

TEST_CASE("a factor that is subnormal in the dtype costs no precision") {
  for (const double value : {1e30, 1e38, 1.6e38, 2e38, 3e38, 3.4e38}) {
    for (const double max_norm : {1e-37, 1e-20, 0.1, 1.0, 1.5, 2.0, 3.0, 3.9, 5.0}) {
      CAPTURE(value);
      CAPTURE(max_norm);
      Arrays arrays = list({value}, DType::kFloat32);
      clip(arrays, max_norm);
      check_clipped(arrays, max_norm, 0x1p-23);
    }
  }
  for (const double value : {1e300, 1e307, 0.9e308, 1.7e308}) {
    for (const double max_norm : {1e-300, 1e-9, 0.1, 1.0, 1.5, 2.0, 3.0, 3.9, 5.0}) {
      CAPTURE(value);
      CAPTURE(max_norm);
      Arrays arrays = list({value}, DType::kFloat64);
      clip(arrays, max_norm);
      check_clipped(arrays, max_norm, 0x1p-52);
    }
  }
}

TEST_CASE("subnormal results are not above max_norm") {
  Random random(2);
  for (const int exponent : {-140, -149, -1050, -1074}) {
    const DType dtype = exponent < -200 ? DType::kFloat64 : DType::kFloat32;
    for (int round = 0; round < 200; ++round) {
      Arrays arrays;
      arrays.add(random_values(random, 20, -2, 2), dtype);
      const double max_norm = random.positive(exponent, exponent + 20);
      clip(arrays, max_norm);
      CHECK((arrays.sum_of_squares() <= squared(max_norm)));
    }
  }
}

TEST_CASE("a norm up to max_norm leaves every byte, and is copied elsewhere") {
  Arrays arrays = list({3.0, -0.0, -4.0, 5e-324}, DType::kFloat64);
  for (const double max_norm : {5.0, 6.0, kInfinity}) {
    const Arrays before = arrays;
    CHECK(clip(arrays, max_norm, {.eps = 1.0}) == 1.0);
    CHECK(arrays.same_bytes(before));
    Arrays target = list({0, 0, 0, 0}, DType::kFloat64);
    const SpanList spans = arrays.spans_into(target);
    const Work work(spans);
    write(work, plan_clip(5.0, max_norm, {}, precision(work.contents(), Order{})));
    CHECK(target.same_bytes(before));
  }
}

TEST_CASE("unclipped gradients are written once with an inv_scale other than 1") {
  Arrays arrays = list({3.0, 4.0}, DType::kFloat32);
  CHECK(clip(arrays, 5.0, {.inv_scale = 0.5}) == 1.0);
  CHECK(arrays.read(0) == Values{1.5, 2.0});
}

// One above the range is refused by the caller, who can name the array.
TEST_CASE("an inv_scale below the range of the dtype gives the results that are in range") {
  for (const auto& example : {std::pair(1e38, 1e-60), std::pair(1e30, 1e-40)}) {
    const double value = example.first;
    const double inv_scale = example.second;
    CAPTURE(value);
    CAPTURE(inv_scale);
    Arrays unclipped = list({value}, DType::kFloat32);
    const double exact = inv_scale * unclipped.read(0)[0];
    CHECK(clip(unclipped, 2.0 * exact, {.inv_scale = inv_scale}) == 1.0);
    CHECK(std::fabs(unclipped.read(0)[0] - exact) <= 0x1p-22 * exact);

    Arrays clipped = list({value}, DType::kFloat32);
    clip(clipped, 0.25 * exact, {.inv_scale = inv_scale});
    check_clipped(clipped, 0.25 * exact, 0x1p-23);
  }
}

TEST_CASE("max_norm 0 stores +0.0") {
  Arrays arrays = list({3.0, -4.0, -0.0}, DType::kFloat32);
  CHECK(clip(arrays, 0.0) == 0.0);
  for (const double x : arrays.read(0)) CHECK((x == 0.0 && !std::signbit(x)));
}

Values written_nonfinite(const Values& values, double norm, NonFinite policy) {
  Arrays arrays;
  arrays.add(values, DType::kFloat64);
  const SpanList spans = arrays.spans();
  write(Work(spans), plan_nonfinite(norm, policy));
  return arrays.read(0);
}

TEST_CASE("a non-finite norm is skipped, zeroed or propagated") {
  const Values values{1.0, -2.0, kInfinity};
  for (const NonFinite policy : {NonFinite::kRaise, NonFinite::kSkip}) {
    CHECK(written_nonfinite(values, kInfinity, policy) == values);
  }
  CHECK(written_nonfinite(values, kInfinity, NonFinite::kZero) == Values(3, 0.0));
  const Values infinite = written_nonfinite(values, kInfinity, NonFinite::kPropagate);
  CHECK(infinite[0] == 0.0);
  CHECK(infinite[1] == 0.0);
  CHECK(std::isnan(infinite[2]));
  for (const double x : written_nonfinite(values, kNaN, NonFinite::kPropagate)) {
    CHECK(std::isnan(x));
  }
}

}  // namespace
}  // namespace gradclip::test
