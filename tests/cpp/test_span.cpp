// Lists of spans: how arrays of any strides are put down.
#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "core/span.hpp"
#include "support/layouts.hpp"

namespace gradclip::test {
namespace {

using Bytes = std::vector<std::byte>;

// A whole array without gaps, whatever the order and the signs of its axes.
TEST_CASE("a transpose or reverse of a contiguous array is contiguous") {
  Bytes memory(2 * 3 * 5 * 8);
  std::vector<std::pair<std::size_t, std::ptrdiff_t>> order{{2, 120}, {3, 40}, {5, 8}};
  do {
    for (int signs = 0; signs < 8; ++signs) {
      Extents extents;
      Layout layout;
      for (std::size_t i = 0; i < order.size(); ++i) {
        const auto [extent, stride] = order[i];
        const bool negative = (signs >> i & 1) != 0;
        extents.push_back(extent);
        layout.strides.push_back(negative ? -stride : stride);
        if (negative) layout.first += stride * (static_cast<std::ptrdiff_t>(extent) - 1);
      }
      SpanList spans;
      add(spans, memory.data(), extents, layout, {DType::kFloat64});
      CHECK(spans[0].contiguous());
      CHECK(spans[0].source == memory.data());
      CHECK(spans[0].size == 30);
    }
  } while (std::ranges::next_permutation(order).found);
}

TEST_CASE("a size counts numbers, both parts of a pair, and bytes what they take") {
  Bytes memory(1024);
  const Element elements[] = {{DType::kFloat16}, {DType::kBfloat16},      {DType::kFloat32},
                              {DType::kFloat64}, {DType::kFloat32, true}, {DType::kFloat64, true}};
  const std::size_t item_bytes[] = {2, 2, 4, 8, 8, 16};
  for (std::size_t i = 0; i < std::size(elements); ++i) {
    CAPTURE(i);
    const auto item = static_cast<std::ptrdiff_t>(item_bytes[i]);
    SpanList spans;
    spans.add_contiguous(memory.data(), memory.data(), 5, elements[i]);
    std::vector<Axis> axes{{5, 2 * item, 2 * item}};
    spans.add_strided(memory.data(), memory.data(), axes, elements[i]);
    CHECK(elements[i].bytes() == item_bytes[i]);
    for (const Span& span : spans) {
      CHECK(span.size == (elements[i].pair ? 10 : 5));
      CHECK(span.bytes() == 5 * item_bytes[i]);
    }
    CHECK(spans.axes(spans[1])->extent == 5);
  }
}

TEST_CASE("pairs one after another are contiguous, and parts of pairs are not") {
  Bytes memory(256);
  std::vector<Axis> rows{{2, 24, 24}, {3, 8, 8}};
  std::vector<Axis> reals{{2, 24, 24}, {3, 8, 8}};
  std::vector<Axis> reversed{{3, -8, -8}, {2, 24, 24}};
  SpanList spans;
  spans.add_strided(memory.data(), memory.data(), rows, {DType::kFloat32, true});
  spans.add_strided(memory.data(), memory.data(), reals, {DType::kFloat32});
  spans.add_strided(memory.data() + 16, memory.data() + 16, reversed, {DType::kFloat32, true});
  CHECK(spans[0].contiguous());
  CHECK(spans[0].size == 12);
  CHECK(!spans[1].contiguous());
  CHECK(spans[1].ndim == 1);
  CHECK(spans.axes(spans[1])->extent == 6);
  CHECK(spans[2].contiguous());
  CHECK(spans[2].source == memory.data());
}

TEST_CASE("axes of one element do not count, whatever their strides") {
  Bytes memory(64);
  SpanList spans;
  std::vector<Axis> axes{{1, -4096, 7}, {4, 4, 4}, {1, 0, 0}, {1, 3, 1 << 30}};
  spans.add_strided(memory.data(), memory.data(), axes, {DType::kFloat32});
  CHECK(spans[0].contiguous());
  CHECK(spans[0].source == memory.data());
  CHECK(spans[0].size == 4);
}

TEST_CASE("an array without axes is one element, and with an empty axis none") {
  Bytes memory(64);
  SpanList spans;
  std::vector<Axis> none;
  spans.add_strided(memory.data(), memory.data(), none, {DType::kFloat32});
  std::vector<Axis> empty{{7, -8, -8}, {0, 24, 24}, {3, 8, 8}};
  spans.add_strided(memory.data(), memory.data(), empty, {DType::kFloat64});
  CHECK(spans[0].size == 1);
  CHECK(spans[1].size == 0);
  CHECK(spans[0].contiguous());
  CHECK(spans[1].contiguous());
}

TEST_CASE("spans are the same only with the same memory, size, dtype and axes") {
  Bytes memory(256);
  const auto list = [&](std::size_t source, std::size_t target, std::size_t extent,
                        std::ptrdiff_t stride, std::ptrdiff_t target_stride, Element element) {
    SpanList spans;
    spans.add_contiguous(memory.data(), memory.data(), 1, {DType::kFloat32});  // shifts the axes
    std::vector<Axis> axes{{extent, stride, target_stride}, {2, 100, 100}};
    spans.add_strided(memory.data() + source, memory.data() + target, axes, element);
    return spans;
  };
  const SpanList spans = list(0, 0, 3, 16, 16, {DType::kFloat32});
  CHECK(spans.same(1, list(0, 0, 3, 16, 16, {DType::kFloat32}), 1));
  CHECK(!spans.same(1, list(8, 0, 3, 16, 16, {DType::kFloat32}), 1));
  CHECK(!spans.same(1, list(0, 8, 3, 16, 16, {DType::kFloat32}), 1));
  CHECK(!spans.same(1, list(0, 0, 4, 16, 16, {DType::kFloat32}), 1));
  CHECK(!spans.same(1, list(0, 0, 1, 16, 16, {DType::kFloat32}), 1));
  CHECK(!spans.same(1, list(0, 0, 3, 12, 16, {DType::kFloat32}), 1));
  CHECK(!spans.same(1, list(0, 0, 3, 16, 12, {DType::kFloat32}), 1));
  CHECK(!spans.same(1, list(0, 0, 3, 16, 16, {DType::kFloat64}), 1));
  CHECK(!spans.same(1, list(0, 0, 3, 16, 16, {DType::kFloat32, true}), 1));
  const SpanList halves = list(0, 0, 3, 16, 16, {DType::kFloat16});
  CHECK(halves.same(1, list(0, 0, 3, 16, 16, {DType::kFloat16}), 1));
  CHECK(!halves.same(1, list(0, 0, 3, 16, 16, {DType::kBfloat16}), 1));
}

TEST_CASE("a list is in place until a target differs from its source") {
  Bytes memory(64);
  SpanList spans;
  CHECK(spans.in_place());
  std::vector<Axis> axes{{3, 8, 8}};
  spans.add_strided(memory.data(), memory.data(), axes, {DType::kFloat32});
  CHECK(spans.in_place());
  spans.add_contiguous(memory.data(), memory.data() + 32, 8, {DType::kFloat32});
  CHECK(!spans.in_place());
}

}  // namespace
}  // namespace gradclip::test
