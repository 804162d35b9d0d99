// Counting what a block holds: zeros, infinities, NaNs, numbers outside of bounds.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/fp_environment.hpp"
#include "support/memory.hpp"
#include "support/numbers.hpp"
#include "support/random.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

constexpr std::size_t kSizes[] = {0, 1, 2, 7, 31, 32, 33, 64, 1001, kBlock - 1, kBlock};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
std::vector<T> mixture(Random& random, std::size_t n) {
  const double special[] = {0.0,
                            -0.0,
                            kInfinity,
                            -kInfinity,
                            std::nan(""),
                            Magnitudes<T>::kSubnormal,
                            -Magnitudes<T>::kMost,
                            Magnitudes<T>::kMost};
  std::vector<T> values;
  for (std::size_t i = 0; i < n; ++i) {
    values.push_back(
        from_double<T>(random.one_in(2) ? special[random.between(0, 7)] : random.real(-3, 3)));
  }
  return values;
}

// The numbers of an element, one or two.
Counts counted(const std::vector<double>& values, std::size_t numbers) {
  Counts counts;
  for (std::size_t i = 0; i < values.size(); i += numbers) {
    bool zero = true, nan = false, inf = false;
    for (std::size_t k = i; k < i + numbers; ++k) {
      zero &= values[k] == 0.0;
      nan |= std::isnan(values[k]);
      inf |= std::isinf(values[k]);
    }
    counts.zeros += zero;
    counts.nans += nan;
    counts.infs += inf && !nan;
  }
  return counts;
}

void check_counts(CountKernel kernel, const std::byte* x, std::size_t n, const Counts& expected) {
  Counts counts{7, 7, 7};
  kernel(x, n, &counts);
  CHECK(counts.zeros == expected.zeros);
  CHECK(counts.nans == expected.nans);
  CHECK(counts.infs == expected.infs);
}

TEST_CASE_TEMPLATE("what a block holds is counted", T, Float16, Bfloat16, float, double) {
  Random random(1);
  for (const std::size_t n : kSizes) {
    const std::vector<T> values = mixture<T>(random, n);
    std::vector<double> exact;
    for (const T value : values) exact.push_back(to_double(value));
    for (const std::size_t offset : {0u, 1u, 6u}) {
      const Elements<T> elements(values, offset);
      const FpEnvironment environment(Rounding::kNearest);
      for_each_isa([&](const KernelTable& table) {
        CAPTURE(table.name);
        const DTypeKernels& of = table[dtype_of<T>()];
        check_counts(of.count_reals, elements.data(), n, counted(exact, 1));
        if (sizeof(T) > 2 && n % 2 == 0) {
          check_counts(of.count_pairs, elements.data(), n, counted(exact, 2));
        }
      });
    }
  }
}

}  // namespace
}  // namespace gradclip::test
