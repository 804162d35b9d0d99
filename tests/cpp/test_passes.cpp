// The passes over lists of arrays: norms within their bounds, and what each write pass writes.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "arrays.hpp"
#include "core/passes.hpp"
#include "isas.hpp"
#include "memory.hpp"
#include "products.hpp"
#include "threads.hpp"

namespace gradclip::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Relative to a sum of squares: twice the norm's 2^-44.
constexpr double kNarrowBound = 0x1p-43;

struct Measured {
  double norm;
  double scaled_norm;
  std::size_t first_nonfinite;
  std::vector<double> array_norms;
};

Measured measure(Arrays& arrays) {
  const SpanList spans = arrays.spans();
  const Work work(spans);
  Norms norms(work);
  norms.measure();
  Measured result{norms.norm(), norms.norm(0.3), norms.first_nonfinite(), {}};
  result.array_norms.resize(arrays.size());
  norms.array_norms(result.array_norms.data());
  return result;
}

// Calls check(threads) for every instruction set and number of threads.
template <class Check>
void for_each_setting(const Check& check) {
  for_each_isa([&](const KernelTable& table) {
    CAPTURE(table.name);
    for (const int threads : kThreadCounts) {
      CAPTURE(threads);
      const Threads limit(threads);
      check();
    }
  });
}

TEST_CASE("norms keep the bounds of their dtypes") {
  Arrays arrays = mixed_arrays();
  const Measured measured = measure(arrays);
  const auto squared = [](double x) { return static_cast<Exact>(x) * static_cast<Exact>(x); };
  CHECK(relative_error(squared(measured.norm), arrays.sum_of_squares()) <= kNarrowBound);
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    CAPTURE(i);
    const double norm = measured.array_norms[i];
    const Exact exact = arrays.sum_of_squares(i);
    if (arrays.dtype(i) == DType::kFloat64) {
      CHECK(is_root_within(norm, exact, 0.53));
    } else {
      CHECK(relative_error(squared(norm), exact) <= kNarrowBound);
    }
  }
  CHECK(measured.first_nonfinite == arrays.size());
}

TEST_CASE("the norm of float64 arrays is within an ulp, whatever their magnitudes") {
  Random random(2);
  for (int round = 0; round < 100; ++round) {
    Arrays arrays;
    for (int i = random.between(1, 10); i > 0; --i) {
      const int low = random.between(-1060, 1000);
      arrays.add(random_values(random, random.between<std::size_t>(0, 2000), low, low + 9),
                 DType::kFloat64);
    }
    CAPTURE(round);
    const Measured measured = measure(arrays);
    if (std::isinf(measured.norm)) {
      CHECK((arrays.sum_of_squares() >= power_of_two(2048) * (1 - power_of_two(-53))));
      continue;
    }
    CHECK(is_root_within(measured.norm, arrays.sum_of_squares(), 0.53));
    CHECK(is_root_within(
        measured.scaled_norm,
        arrays.sum_of_squares() * static_cast<Exact>(0.3) * static_cast<Exact>(0.3), 0.53));
  }
}

TEST_CASE("norms have the same bits for any number of threads and instruction set") {
  Arrays arrays = mixed_arrays();
  const Measured first = measure(arrays);
  for_each_setting([&] {
    for (int run = 0; run < 3; ++run) {
      const Measured again = measure(arrays);
      CHECK(bits(again.norm) == bits(first.norm));
      CHECK(bits(again.scaled_norm) == bits(first.scaled_norm));
      CHECK(again.array_norms == first.array_norms);
    }
  });
}

TEST_CASE("gaps and alignment make no difference to the bits") {
  Random random(3);
  const Values values = random_values(random, kBlock + 77);
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    Arrays plain;
    plain.add(values, dtype);
    for (const std::size_t offset : {0u, 1u, 4u, 6u}) {
      for (const std::size_t gap : {0u, 1u, 8u}) {
        Arrays other;
        other.add(values, dtype, offset, gap);
        CHECK(bits(measure(other).norm) == bits(measure(plain).norm));
      }
    }
  }
}

TEST_CASE("an empty list, and one of empty arrays, has norm zero") {
  Arrays arrays;
  CHECK(bits(measure(arrays).norm) == 0);
  arrays.add({}, DType::kFloat32);
  arrays.add({}, DType::kFloat64, 1, 3);
  const Measured measured = measure(arrays);
  CHECK(bits(measured.norm) == 0);
  CHECK(measured.array_norms == Values{0.0, 0.0});
  CHECK(measured.first_nonfinite == 2);
}

TEST_CASE("the first array that holds an infinity or NaN is named, and NaN beats inf") {
  for (const double bad : {kInfinity, -kInfinity, kNaN}) {
    for (std::size_t place = 0; place < 6; ++place) {
      Arrays arrays;
      Random random(4);
      for (std::size_t i = 0; i < 6; ++i) {
        Values values = random_values(random, 40'000);
        if (i >= place) values[i * 7'000] = i == place ? bad : kInfinity;
        arrays.add(values, i % 2 == 0 ? DType::kFloat32 : DType::kFloat64, 0, i % 3);
      }
      CAPTURE(bad);
      CAPTURE(place);
      for_each_setting([&] {
        const Measured measured = measure(arrays);
        CHECK(measured.first_nonfinite == place);
        CHECK(std::isnan(measured.norm) == std::isnan(bad));
        CHECK(!std::isfinite(measured.norm));
        for (std::size_t i = 0; i < 6; ++i) {
          CHECK(std::isfinite(measured.array_norms[i]) == (i < place));
        }
      });
    }
  }
}

TEST_CASE("a finite list whose norm is too large for float64 holds nothing non-finite") {
  Arrays arrays;
  arrays.add(Values(4, 1.5e308), DType::kFloat64);
  arrays.add(Values(4, 1e38), DType::kFloat32);
  const Measured measured = measure(arrays);
  CHECK(measured.norm == kInfinity);
  CHECK(std::isfinite(measured.scaled_norm));
  CHECK(measured.first_nonfinite == 2);
}

// Runs write(work) in place and into another list, for every setting. Each element x must become
// expected(x, dtype), and no byte between or beside elements anything else.
template <class Write, class Expected>
void check_writes(const Write& write, const Expected& expected) {
  const Arrays source = mixed_arrays();
  Arrays target;  // with gaps and alignments of its own
  for (std::size_t i = 0; i < source.size(); ++i) {
    target.add(source.read(i), source.dtype(i), i % 5, i % 4);
  }
  Arrays expected_source = source;
  Arrays expected_target = target;
  expected_source.transform(expected);
  expected_target.transform(expected);
  target.transform([](double, DType) { return -7.0; });

  for_each_setting([&] {
    Arrays from = source;
    Arrays into = target;
    const SpanList out_of_place = from.spans_into(into);
    write(Work(out_of_place));
    CHECK(from.same_bytes(source));
    CHECK(into.same_bytes(expected_target));
    const SpanList in_place = from.spans();
    write(Work(in_place));
    CHECK(from.same_bytes(expected_source));
  });
}

TEST_CASE("copy writes the source, and nothing in place") {
  check_writes([](const Work& work) { copy(work); }, [](double x, DType) { return x; });
}

TEST_CASE("fill_zero writes +0.0") {
  check_writes([](const Work& work) { fill_zero(work); }, [](double, DType) { return 0.0; });
}

// The product of an element and a factor in the element's dtype.
double expected_product(double x, DType dtype, const DTypeSteps& factor, Rounding rounding) {
  const Steps own = factor[index(dtype)];
  if (dtype == DType::kFloat64) return product(x, own, rounding);
  return product(static_cast<float>(x), own, rounding);
}

void check_scaling(const DTypeSteps& factor, Rounding rounding) {
  check_writes([&](const Work& work) { scale(work, factor, rounding); },
               [&](double x, DType dtype) { return expected_product(x, dtype, factor, rounding); });
}

TEST_CASE("scale rounds each product as told, by a factor of one step or two") {
  for (const Rounding rounding : {Rounding::kNearest, Rounding::kTowardZero}) {
    check_scaling(one_step(0.1), rounding);
    check_scaling(one_step(1e-45), rounding);
    check_scaling(steps({0.7, -128}, rounding), rounding);
  }
}

}  // namespace
}  // namespace gradclip::test
