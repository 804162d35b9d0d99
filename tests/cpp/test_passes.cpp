// The passes that write: every element as it must be, and no other byte.
#include <doctest/doctest.h>

#include <limits>

#include "core/passes.hpp"
#include "support/arrays.hpp"
#include "support/products.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

// Runs write(work) in place and into another list, for every setting. Each element x must become
// expected(x, dtype), and no byte between or beside elements anything else.
template <class Write, class Expected>
void check_writes(const Write& write, const Expected& expected, Halves halves = Halves::kSome) {
  const Arrays source = mixed_arrays(halves);
  Arrays target;  // with gaps and alignments of its own
  for (std::size_t i = 0; i < source.size(); ++i) {
    target.add(source.read(i), source.element(i), i % 5, i % 4);
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
    wake_workers();
    write(Work(out_of_place));
    CHECK(from.same_bytes(source));
    CHECK(into.same_bytes(expected_target));
    const SpanList in_place = from.spans();
    wake_workers();
    write(Work(in_place));
    CHECK(from.same_bytes(expected_source));
  });
}

TEST_CASE("copy writes the source, and nothing in place") {
  check_writes([](const Work& work) { copy(work); }, [](double x, DType) { return x; });
}

TEST_CASE("fill writes one value, such as +0.0 or NaN") {
  for (const double value : {0.0, 2.5, std::numeric_limits<double>::quiet_NaN()}) {
    check_writes([&](const Work& work) { fill(work, value); }, [&](double, DType) { return value; },
                 value == 2.5 ? Halves::kNone : Halves::kSome);
  }
}

// The product of an element and a factor in the element's compute type.
double expected_product(double x, DType dtype, const DTypeSteps& factor, Rounding rounding) {
  const Steps own = factor[index(dtype)];
  if (dtype == DType::kFloat64) return product(x, own, rounding);
  return static_cast<double>(product(static_cast<float>(x), own, rounding));
}

// 16-bit arrays are rounded to nearest only.
void check_scaling(const DTypeSteps& factor, Rounding rounding) {
  check_writes([&](const Work& work) { scale(work, factor, rounding); },
               [&](double x, DType dtype) { return expected_product(x, dtype, factor, rounding); },
               rounding == Rounding::kNearest ? Halves::kSome : Halves::kNone);
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
