// Sums of scaled blocks and steps of descent: each operation rounded as documented, on every
// instruction set, and no byte written beside the block.
#include <doctest/doctest.h>

#include <cmath>
#include <type_traits>
#include <vector>

#include "core/fp_environment.hpp"
#include "support/memory.hpp"
#include "support/numbers.hpp"
#include "support/random.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

constexpr std::size_t kSizes[] = {0, 1, 3, 7, 8, 15, 16, 17, 31, 32, 33, 1001, kBlock};

template <class T>
using Compute = std::conditional_t<Half<T>, float, T>;

template <class T>
Compute<T> wide(T x) {
  return static_cast<Compute<T>>(to_double(x));
}

template <class T>
std::vector<T> random_block(Random& random, std::size_t n) {
  std::vector<T> values;
  for (std::size_t i = 0; i < n; ++i) values.push_back(from_double<T>(random.real(-12, 5)));
  return values;
}

TEST_CASE_TEMPLATE("scaled blocks are added with one rounding", T, Float16, Bfloat16, float,
                   double) {
  using C = Compute<T>;
  Random random(1);
  for (const Steps factor : {Steps{}, Steps{0.3, 1.0}, Steps{1.7, 0x1p-30}}) {
    for (const std::size_t n : kSizes) {
      const std::vector<T> x = random_block<T>(random, n);
      const std::vector<C> before = random_block<C>(random, n);
      std::vector<C> expected;
      for (std::size_t i = 0; i < n; ++i) {
        const auto first = static_cast<C>(factor.first);
        const C sum = before[i];
        expected.push_back(factor.second == 1.0
                               ? std::fma(wide(x[i]), first, sum)
                               : std::fma(wide(x[i]) * first, static_cast<C>(factor.second), sum));
      }
      for (const std::size_t offset : {0u, 1u, 12u}) {
        for_each_isa([&](const KernelTable& table) {
          CAPTURE(table.name);
          const Elements<T> from(x, offset);
          Elements<C> sum(before, offset);
          {
            const FpEnvironment environment(Rounding::kNearest);
            table[dtype_of<T>()].add_scaled(from.data(), sum.data(), n, factor);
          }
          CHECK(sum.same_bits(expected.data()));
          CHECK(sum.guards_are_intact());
        });
      }
    }
  }
}

struct Moved {
  double parameter;
  double velocity;
};

// The step of one element, in the compute type.
template <class T>
Moved moved(T gradient, T parameter, T velocity, bool moving, const SgdStep& step) {
  using C = Compute<T>;
  C change = step.no_gradient ? C{0} : wide(gradient) * static_cast<C>(step.factor.first);
  if (step.factor.second != 1.0) change = change * static_cast<C>(step.factor.second);
  if (step.weight_decay != 0.0) {
    change = std::fma(wide(parameter), static_cast<C>(step.weight_decay), change);
  }
  C speed = wide(velocity);
  if (moving) {
    const auto momentum = static_cast<C>(step.momentum);
    speed = std::fma(speed, momentum, change);
    change = step.nesterov ? std::fma(speed, momentum, change) : speed;
  }
  return {static_cast<double>(std::fma(change, static_cast<C>(-step.lr), wide(parameter))),
          static_cast<double>(speed)};
}

TEST_CASE_TEMPLATE("a step of descent", T, Float16, Bfloat16, float, double) {
  Random random(2);
  const SgdStep steps[] = {{{1.0, 1.0}, 0.1, 0.0, 0.0, false, false},
                           {{0.3, 1.0}, 0.1, 0.9, 0.0, false, false},
                           {{0.3, 0.5}, 0.01, 0.9, 0.1, true, false},
                           {{1.0, 1.0}, 0.5, 0.5, 0.25, false, true}};
  for (const SgdStep& step : steps) {
    for (const bool moving : {false, true}) {
      for (const std::size_t n : kSizes) {
        std::vector<T> gradient = random_block<T>(random, n);
        const std::vector<T> parameter = random_block<T>(random, n);
        const std::vector<T> velocity = random_block<T>(random, n);
        if (step.no_gradient && n > 0) gradient[n / 2] = infinity<T>();
        std::vector<T> parameters, velocities;
        for (std::size_t i = 0; i < n; ++i) {
          const Moved to = moved(gradient[i], parameter[i], velocity[i], moving, step);
          parameters.push_back(from_double<T>(to.parameter));
          velocities.push_back(from_double<T>(to.velocity));
        }
        for (const std::size_t offset : {0u, 2u, 24u}) {
          for_each_isa([&](const KernelTable& table) {
            CAPTURE(table.name);
            const Elements<T> g(gradient, offset);
            Elements<T> p(parameter, offset), v(velocity, offset);
            {
              const FpEnvironment environment(Rounding::kNearest);
              table[dtype_of<T>()].sgd(g.data(), p.data(), moving ? v.data() : nullptr, n, step);
            }
            CHECK(p.same_bits(parameters.data()));
            CHECK(v.same_bits(velocities.data()));
            CHECK(g.same_bits(gradient.data()));
            CHECK((p.guards_are_intact() && v.guards_are_intact()));
          });
        }
      }
    }
  }
}

}  // namespace
}  // namespace gradclip::test
