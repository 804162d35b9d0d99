// Clips as PyTorch defines them: min(1, max_norm / (norm + eps)) of any numbers.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <tuple>

#include "core/clip.hpp"
#include "core/fp_environment.hpp"
#include "core/passes.hpp"
#include "support/arrays.hpp"
#include "support/clips.hpp"
#include "support/exact.hpp"
#include "support/random.hpp"

namespace gradclip::test {
namespace {

using Action = ClipPlan::Action;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kSubnormal = std::numeric_limits<double>::denorm_min();
constexpr double kMost = std::numeric_limits<double>::max();

constexpr double kKinds[] = {0.0,  -0.0, kSubnormal, 1e-310, 1e-30,  0.5,       1.0,  2.0,
                             1e30, 1e38, kMost,      -0.5,   -1e300, kInfinity, kNaN, -kInfinity};
constexpr double kEpsilons[] = {0.0, kSubnormal, 1e-6, 1.0, 1e300};

constexpr Precision kExact{0.0, Rounding::kTowardZero};

double ratio_of(double norm, double max_norm, double eps) { return max_norm / (norm + eps); }

template <class Visit>
void for_each_combination(const Visit& visit) {
  for (const double norm : kKinds) {
    for (const double max_norm : kKinds) {
      for (const double eps : kEpsilons) visit(norm, max_norm, eps);
    }
  }
}

bool proper_clip(double norm, double max_norm) {
  return norm > 0.0 && std::isfinite(norm) && max_norm > 0.0;
}

TEST_CASE("kept if and only if the ratio is at least 1, for numbers of every kind") {
  for_each_combination([](double norm, double max_norm, double eps) {
    CAPTURE(norm);
    CAPTURE(max_norm);
    CAPTURE(eps);
    const bool keeps = plan_ratio(norm, max_norm, eps, kExact).action == Action::kKeep;
    CHECK(keeps == (ratio_of(norm, max_norm, eps) >= 1.0));
  });
}

TEST_CASE("the factor is the ratio, and for a proper clip never above it") {
  for_each_combination([](double norm, double max_norm, double eps) {
    CAPTURE(norm);
    CAPTURE(max_norm);
    CAPTURE(eps);
    const double ratio = ratio_of(norm, max_norm, eps);
    const ClipPlan plan = plan_ratio(norm, max_norm, eps, kExact);
    if (plan.action == Action::kKeep) {
      CHECK(plan.factor == 1.0);
    } else if (std::isnan(ratio)) {
      CHECK(plan.action == Action::kFill);
      CHECK(std::isnan(plan.fill));
      CHECK(std::isnan(plan.factor));
    } else if (proper_clip(norm, max_norm)) {
      CHECK(plan.action == Action::kScale);
      const Exact bound = static_cast<Exact>(norm) + static_cast<Exact>(eps);
      CHECK((static_cast<Exact>(plan.factor) * bound <= static_cast<Exact>(max_norm)));
      // The bound is kept for norms that are an ulp above the one that is known. Where norm + eps
      // overflows, the ratio is 0 and the factor is not.
      if (std::isfinite(norm + eps)) {
        const double most = std::nextafter(norm, kInfinity);
        CHECK(plan.factor >= ratio_of(most, max_norm, eps) * (1.0 - 0x1p-50) - kSubnormal);
        CHECK(plan.factor <= ratio);
      }
    } else {
      CHECK(plan.action == Action::kScale);
      CHECK(plan.rounding == Rounding::kNearest);
      CHECK(bits(plan.factor) == bits(ratio));
    }
  });
}

TEST_CASE("eps takes part in the test") {
  CHECK(plan_ratio(1.0, 1.0, 0.0, kExact).action == Action::kKeep);
  CHECK(plan_ratio(1.0, 1.0, 1e-6, kExact).action == Action::kScale);
  CHECK(plan_ratio(1.0, 1.0, 1e-17, kExact).action == Action::kKeep);  // absorbed by the sum
  CHECK(plan_ratio(1.0, 1.0 + 1e-6, 1e-6, kExact).action == Action::kKeep);
  CHECK(plan_ratio(0.0, 1e-7, 1e-6, kExact).factor == 1e-7 / 1e-6);
}

// As plan_ratio has it, for the list's own norm.
ClipPlan clip_by_ratio(Arrays& arrays, double max_norm, double eps) {
  const double norm = norm_of(arrays);
  const SpanList spans = arrays.spans();
  const Work work(spans);
  const ClipPlan plan = plan_ratio(norm, max_norm, eps, precision(work.contents(), Order{}));
  write(work, plan);
  return plan;
}

TEST_CASE("the exact norm of what is written is at most max_norm · norm / (norm + eps)") {
  Random random(11);
  for (int round = 0; round < 600; ++round) {
    CAPTURE(round);
    const bool narrow = random.one_in(2);
    const int low = narrow ? random.between(-20, 20) : random.between(-300, 300);
    Arrays arrays;
    for (int i = random.between(1, 4); i > 0; --i) {
      const bool pair = random.one_in(3);
      const Element element{narrow ? DType::kFloat32 : DType::kFloat64, pair};
      const std::size_t size = random.between<std::size_t>(1, 100) * (pair ? 2 : 1);
      arrays.add(random_values(random, size, low, low + 9), element, random.between(0u, 9u));
    }
    const double norm = norm_of(arrays);
    const double max_norm = norm * random.positive(-40, -1);
    const double eps = random.one_in(2) ? 1e-6 : norm * random.positive(-60, 2);
    const double epsilon = narrow ? 0x1p-23 : 0x1p-52;
    clip_by_ratio(arrays, max_norm, eps);
    const Exact shrink =
        static_cast<Exact>(norm) / (static_cast<Exact>(norm) + static_cast<Exact>(eps));
    const Exact bound = static_cast<Exact>(max_norm) * shrink;
    const Exact sum = arrays.sum_of_squares();
    CHECK((sum <= static_cast<Exact>(max_norm) * static_cast<Exact>(max_norm)));
    const Exact least = bound * static_cast<Exact>(1.0 - 4.0 * epsilon - 0x1p-42);
    CHECK((sum >= least * least));
    const Exact most = bound * static_cast<Exact>(1.0 + 0x1p-42);
    CHECK((sum <= most * most));
  }
}

TEST_CASE("a ratio of 1 or more writes nothing") {
  Arrays arrays;
  arrays.add({3.0, -0.0, -4.0, kSubnormal}, DType::kFloat64, 1, 3);
  const Arrays before = arrays;
  for (const double max_norm : {5.000001, 6.0, 1e300, kInfinity}) {
    CAPTURE(max_norm);
    CHECK(clip_by_ratio(arrays, max_norm, 1e-6).action == Action::kKeep);
    CHECK(arrays.same_bytes(before));
  }
}

Values written(const Values& values, DType dtype, double norm, double max_norm, double eps) {
  Arrays arrays;
  arrays.add(values, dtype, 1, 2);
  const SpanList spans = arrays.spans();
  const Work work(spans);
  write(work, plan_ratio(norm, max_norm, eps, precision(work.contents(), Order{})));
  return arrays.read(0);
}

// As IEEE arithmetic has them, in every dtype.
TEST_CASE("zero, negative and infinite numbers give what the formula does") {
  for (const DType dtype : {DType::kFloat16, DType::kBfloat16, DType::kFloat32, DType::kFloat64}) {
    CAPTURE(index(dtype));
    const Values zeros = written({1.0, -2.0, 0.0}, dtype, 3.0, 0.0, 1e-6);
    CHECK(zeros == Values{0.0, -0.0, 0.0});
    CHECK(std::signbit(zeros[1]));
    CHECK(written({1.0, -2.0}, dtype, 4.0, -2.0, 0.0) == Values{-0.5, 1.0});
    // A norm of 0 is below any threshold with eps; with a lower threshold there is only 0 to scale.
    CHECK(written({0.0, 0.0}, dtype, 0.0, 1e-7, 1e-6) == Values{0.0, 0.0});
    const Values infinite = written({1.0, kInfinity, -1.0}, dtype, kInfinity, 1.0, 1e-6);
    CHECK(infinite[0] == 0.0);
    CHECK(std::isnan(infinite[1]));
    CHECK((infinite[2] == 0.0 && std::signbit(infinite[2])));
    const Values reversed = written({1.0, -1.0}, dtype, 1.0, -kInfinity, 0.0);
    CHECK(reversed == Values{-kInfinity, kInfinity});
  }
}

TEST_CASE("NaN among the numbers fills everything with NaN") {
  for (const DType dtype : {DType::kFloat16, DType::kBfloat16, DType::kFloat32, DType::kFloat64}) {
    for (const auto& numbers :
         {std::tuple(kNaN, 1.0, 1e-6), std::tuple(1.0, kNaN, 1e-6), std::tuple(0.0, 0.0, 0.0),
          std::tuple(kInfinity, kInfinity, 1e-6), std::tuple(-1e-6, 0.0, 1e-6)}) {
      const double norm = std::get<0>(numbers);  // no binding: CAPTURE makes a lambda
      const double max_norm = std::get<1>(numbers);
      const double eps = std::get<2>(numbers);
      CAPTURE(norm);
      CAPTURE(max_norm);
      for (const double x : written({1.0, 0.0, kInfinity}, dtype, norm, max_norm, eps)) {
        CHECK(std::isnan(x));
      }
    }
  }
}

TEST_CASE("a norm that was rounded down keeps the bound with the slack for it") {
  Random random(12);
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    Arrays arrays;
    arrays.add(random_values(random, 50), DType::kFloat32);
    const double rounded = static_cast<double>(static_cast<float>(norm_of(arrays)));
    const double max_norm = rounded * random.positive(-20, -2);
    const SpanList spans = arrays.spans();
    const Work work(spans);
    Precision bound = precision(work.contents(), Order{});
    bound.slack += 0x1.0001p-24;
    write(work, plan_ratio(rounded, max_norm, 0.0, bound));
    const Exact most = static_cast<Exact>(max_norm);
    CHECK((arrays.sum_of_squares() <= most * most));
  }
}

TEST_CASE("the caller's rounding mode does not matter") {
  for (const double norm : {3.0, -3.0}) {
    const ClipPlan plan = plan_ratio(norm, 1.0, 1e-6, kExact);
    const FpEnvironment environment(Rounding::kTowardZero);
    CHECK(bits(plan_ratio(norm, 1.0, 1e-6, kExact).factor) == bits(plan.factor));
  }
}

}  // namespace
}  // namespace gradclip::test
