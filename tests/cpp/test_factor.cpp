// The factor of a clip, judged in exact arithmetic.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/factor.hpp"
#include "support/exact.hpp"
#include "support/random.hpp"

namespace gradclip::test {
namespace {

Exact next_value(Factor factor) {
  return value(Factor{std::nextafter(factor.mantissa, INFINITY), factor.exponent});
}

struct Question {
  double max_norm;
  double norm;
  double eps;
  double inv_scale;

  Exact target() const { return static_cast<Exact>(inv_scale) * static_cast<Exact>(max_norm); }
  Factor answer(double slack) const { return clip_factor(max_norm, norm, eps, inv_scale, slack); }
};

// Every exponent that a float64 has, or numbers as they are met.
Question random_question(Random& random) {
  const bool extreme = random.one_in(2);
  const auto number = [&] {
    return extreme ? random.positive(-1074, 1023) : random.positive(-10, 10);
  };
  Question q{number(), number(), random.one_in(2) ? number() : 0.0, 1.0};
  if (random.one_in(2)) q.inv_scale = number();
  if (random.one_in(8)) q.norm = q.max_norm;
  if (random.one_in(8)) q.eps = q.norm * 0x1p-53;
  if (random.one_in(8)) q.max_norm = std::ldexp(1.0, random.between(-100, 100));
  if (random.one_in(8)) q.norm = std::ldexp(1.0, random.between(-100, 100));
  if (random.one_in(8)) q.norm = std::numeric_limits<double>::max();
  return q;
}

constexpr int kRounds = 100'000;

// How much norms of order 2 may be too small: float64 ones, and those of lists with others.
constexpr double kNone = 0.0;
constexpr double kOfNarrower = 0x1p-43;

#define CAPTURE_QUESTION(q) \
  CAPTURE((q).max_norm);    \
  CAPTURE((q).norm);        \
  CAPTURE((q).eps);         \
  CAPTURE((q).inv_scale)

TEST_CASE("float64: factor times (norm + an ulp + eps) is not above inv_scale times max_norm") {
  Random random(1);
  for (int round = 0; round < kRounds; ++round) {
    const Question q = random_question(random);
    CAPTURE_QUESTION(q);
    const Exact factor = value(q.answer(kNone));
    const Exact upper = static_cast<Exact>(q.norm) + ulp(q.norm);
    CHECK(sum_is_at_most(factor * upper, factor * static_cast<Exact>(q.eps), q.target()));
  }
}

TEST_CASE("float64: the next larger factor breaks the promise") {
  Random random(2);
  for (int round = 0; round < kRounds; ++round) {
    Question q = random_question(random);
    q.eps = 0.0;
    CAPTURE_QUESTION(q);
    const Exact upper = static_cast<Exact>(q.norm) + ulp(q.norm);
    CHECK((next_value(q.answer(kNone)) * upper > q.target()));
  }
}

TEST_CASE("narrower: factor times (norm · (1 + 2^-44) + eps) keeps the promise") {
  Random random(3);
  for (int round = 0; round < kRounds; ++round) {
    const Question q = random_question(random);
    CAPTURE_QUESTION(q);
    const Exact factor = value(q.answer(kOfNarrower));
    const Exact upper = static_cast<Exact>(q.norm) * (1 + power_of_two(-44));
    CHECK(sum_is_at_most(factor * upper, factor * static_cast<Exact>(q.eps), q.target()));
  }
}

TEST_CASE("the next larger factor breaks the promise to within rounding of norm + eps") {
  Random random(4);
  for (int round = 0; round < kRounds; ++round) {
    const Question q = random_question(random);
    CAPTURE_QUESTION(q);
    for (const double slack : {kNone, kOfNarrower, 0x1p-42, 0x1p-48, 0.25}) {
      CAPTURE(slack);
      const Exact norm = static_cast<Exact>(q.norm) * (1 + static_cast<Exact>(slack));
      const Exact upper = norm + 2 * ulp(q.norm) + static_cast<Exact>(q.eps);
      CHECK((next_value(q.answer(slack)) * upper * (1 + power_of_two(-51)) > q.target()));
    }
  }
}

TEST_CASE("a factor as float64 is rounded down to the largest") {
  Random random(5);
  for (int round = 0; round < kRounds; ++round) {
    const Factor factor{random.positive(-2, 0), random.between(-1100, 1100)};
    CAPTURE(factor.mantissa);
    CAPTURE(factor.exponent);
    const double result = to_float64(factor);
    CHECK((static_cast<Exact>(result) <= value(factor)));
    if (result < std::numeric_limits<double>::max()) {
      CHECK((static_cast<Exact>(std::nextafter(result, INFINITY)) > value(factor)));
    }
  }
  CHECK(to_float64({0.75, -5000}) == 0.0);
  CHECK(to_float64({0.75, 5000}) == std::numeric_limits<double>::max());
}

}  // namespace
}  // namespace gradclip::test
