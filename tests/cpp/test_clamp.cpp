// The clamp pass over lists of arrays: every setting, in place and not, with gaps and pairs.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

#include "core/passes.hpp"
#include "support/arrays.hpp"
#include "support/layouts.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double rounded_to(DType dtype, double x) {
  return with_type(dtype, [x]<class T>(T) { return to_double(from_double<T>(x)); });
}

double clamped(double x, double low, double high, DType dtype) {
  if (x < low) return rounded_to(dtype, low);
  return x > high ? rounded_to(dtype, high) : x;
}

// NaN, infinities and negative zeros among the elements.
Arrays arrays_with_specials() {
  Arrays arrays = mixed_arrays();
  std::size_t next = 0;
  arrays.transform([&](double x, DType) {
    switch (next++ % 97) {
      case 5:
        return kNaN;
      case 11:
        return kInfinity;
      case 23:
        return -kInfinity;
      case 31:
        return -0.0;
      default:
        return x;
    }
  });
  return arrays;
}

void check_clamp(const Arrays& source, double low, double high) {
  CAPTURE(low);
  CAPTURE(high);
  Arrays target;  // with gaps and alignments of its own
  for (std::size_t i = 0; i < source.size(); ++i) {
    target.add(source.read(i), source.element(i), i % 5, i % 4);
  }
  const auto expected = [&](double x, DType dtype) { return clamped(x, low, high, dtype); };
  Arrays expected_source = source;
  Arrays expected_target = target;
  expected_source.transform(expected);
  expected_target.transform(expected);
  for_each_setting([&] {
    Arrays from = source;
    Arrays into = target;
    const SpanList out_of_place = from.spans_into(into);
    wake_workers();
    clamp(Work(out_of_place), low, high);
    CHECK(from.same_bytes(source));
    CHECK(into.same_bytes(expected_target));
    const SpanList in_place = from.spans();
    wake_workers();
    clamp(Work(in_place), low, high);
    CHECK(from.same_bytes(expected_source));
  });
}

TEST_CASE("every element of a list is clamped, and no byte between or beside written") {
  const Arrays source = arrays_with_specials();
  check_clamp(source, -0.7, 0.7);
  check_clamp(source, 0.0, 0x1p-10);
  check_clamp(source, -kInfinity, kInfinity);
}

TEST_CASE("views of any strides are clamped as dense copies are") {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    const DType dtype = static_cast<DType>(random.between(0, 3));
    with_type(dtype, [&]<class T>(T number) {
      const Extents extents{random.between<std::size_t>(1, 9), random.between<std::size_t>(1, 9),
                            random.between<std::size_t>(1, 9)};
      const Layout layout = random_view(random, extents, sizeof(T));
      std::vector<std::byte> memory(layout.bytes, std::byte{0x3c});
      std::vector<std::byte> expected = memory;
      for (const std::ptrdiff_t offset : offsets(extents, layout)) {
        number = from_double<T>(random.real(-3, 3));
        std::memcpy(memory.data() + offset, &number, sizeof number);
        number = from_double<T>(clamped(to_double(number), -0.5, 0.25, dtype));
        std::memcpy(expected.data() + offset, &number, sizeof number);
      }
      SpanList spans;
      add(spans, memory.data(), extents, layout, Element{dtype});
      const std::vector<std::byte> before = memory;
      for_each_setting([&] {
        std::ranges::copy(before, memory.begin());
        clamp(Work(spans), -0.5, 0.25);
        CHECK(same_bytes(memory, expected));
      });
    });
  }
}

TEST_CASE("an empty list and empty arrays are fine") {
  Arrays arrays;
  const SpanList none = arrays.spans();
  clamp(Work(none), -1.0, 1.0);
  arrays.add({}, DType::kFloat32);
  arrays.add({}, DType::kBfloat16, 1, 3);
  const Arrays before = arrays;
  const SpanList empty = arrays.spans();
  clamp(Work(empty), -1.0, 1.0);
  CHECK(arrays.same_bytes(before));
}

}  // namespace
}  // namespace gradclip::test
