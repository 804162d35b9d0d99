// Strided arrays in blocks: elements in ascending address order, and nothing between them written.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/strided.hpp"
#include "support/layouts.hpp"
#include "support/memory.hpp"
#include "support/random.hpp"

namespace gradclip::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes random_bytes(Random& random, std::size_t size) {
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.between(0, 255));
  return bytes;
}

Extents random_extents(Random& random) {
  Extents extents(static_cast<std::size_t>(random.between(0, 5)));
  for (std::size_t& extent : extents) {
    extent = random.one_in(40) ? 0 : random.between<std::size_t>(1, 6);
  }
  return extents;
}

// A span's sections, of random lengths, one after another.
std::vector<Section> random_sections(Random& random, const SpanList& spans, const Span& span) {
  std::vector<Section> sections;
  for (std::size_t first = 0; first < span.size;) {
    const auto size = random.between<std::size_t>(1, span.size - first);
    sections.push_back({span, spans.axes(span), first, size});
    first += size;
  }
  return sections;
}

Bytes gather(Random& random, const SpanList& spans) {
  const Span& span = spans[0];
  if (span.contiguous()) return {span.source, span.source + span.bytes()};
  Bytes result(span.bytes());
  for (const Section& section : random_sections(random, spans, span)) {
    pack(section, result.data() + section.first * item_size(span.dtype));
  }
  return result;
}

void scatter(Random& random, const SpanList& spans, const Bytes& values) {
  const Span& span = spans[0];
  if (span.contiguous()) {
    std::ranges::copy(values, span.target);
    return;
  }
  for (const Section& section : random_sections(random, spans, span)) {
    unpack(section, values.data() + section.first * item_size(span.dtype));
  }
}

TEST_CASE("elements are visited in ascending address order, and written where they belong") {
  Random random(1);
  for (int round = 0; round < 4000; ++round) {
    const DType dtype = random.one_in(2) ? DType::kFloat32 : DType::kFloat64;
    const std::size_t item = item_size(dtype);
    const Extents extents = random_extents(random);
    const Layout source = random_view(random, extents, item);
    const Layout target = random_view(random, extents, item);
    CAPTURE(round);

    const Bytes from = random_bytes(random, source.bytes);
    Bytes to = random_bytes(random, target.bytes);
    SpanList spans;
    auto axes = axes_of(extents, source, target);
    spans.add_strided(from.data() + source.first, to.data() + target.first, axes, dtype);
    REQUIRE(spans.size() == 1);
    REQUIRE(spans[0].size == count(extents));

    std::vector<std::pair<std::ptrdiff_t, std::ptrdiff_t>> places;  // in source and target
    const auto sources = offsets(extents, source);
    const auto targets = offsets(extents, target);
    for (std::size_t i = 0; i < sources.size(); ++i) places.emplace_back(sources[i], targets[i]);
    std::ranges::sort(places);

    Bytes packed;
    for (const auto& [place, _] : places) {
      const auto element = from.begin() + place;
      packed.insert(packed.end(), element, element + static_cast<std::ptrdiff_t>(item));
    }
    CHECK(gather(random, spans) == packed);

    const Bytes values = random_bytes(random, packed.size());
    Bytes expected = to;
    for (std::size_t i = 0; i < places.size(); ++i) {
      std::memcpy(&expected[static_cast<std::size_t>(places[i].second)], &values[i * item], item);
    }
    scatter(random, spans, values);
    CHECK(to == expected);
  }
}

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
      add(spans, memory.data(), extents, layout, DType::kFloat64);
      CHECK(spans[0].contiguous());
      CHECK(spans[0].source == memory.data());
      CHECK(spans[0].size == 30);
    }
  } while (std::ranges::next_permutation(order).found);
}

TEST_CASE("axes of one element do not count, whatever their strides") {
  Bytes memory(64);
  SpanList spans;
  std::vector<Axis> axes{{1, -4096, 7}, {4, 4, 4}, {1, 0, 0}, {1, 3, 1 << 30}};
  spans.add_strided(memory.data(), memory.data(), axes, DType::kFloat32);
  CHECK(spans[0].contiguous());
  CHECK(spans[0].source == memory.data());
  CHECK(spans[0].size == 4);
}

TEST_CASE("an array without axes is one element, and with an empty axis none") {
  Bytes memory(64);
  SpanList spans;
  std::vector<Axis> none;
  spans.add_strided(memory.data(), memory.data(), none, DType::kFloat32);
  std::vector<Axis> empty{{7, -8, -8}, {0, 24, 24}, {3, 8, 8}};
  spans.add_strided(memory.data(), memory.data(), empty, DType::kFloat64);
  CHECK(spans[0].size == 1);
  CHECK(spans[1].size == 0);
  CHECK(spans[0].contiguous());
  CHECK(spans[1].contiguous());
}

TEST_CASE("a broadcast array is read as often as it has elements") {
  Random random(2);
  const Bytes memory = random_bytes(random, 12);
  SpanList spans;
  std::vector<Axis> axes{{5, 0, 12}, {3, 4, 4}, {2, 0, 60}};
  spans.add_strided(memory.data(), nullptr, axes, DType::kFloat32);
  const Bytes packed = gather(random, spans);
  CHECK(packed.size() == 120);
  for (const std::byte* element = memory.data(); element < memory.data() + 12; element += 4) {
    int found = 0;
    for (std::size_t i = 0; i < packed.size(); i += 4) {
      found += std::memcmp(&packed[i], element, 4) == 0;
    }
    CHECK(found == 10);
  }
}

TEST_CASE("spans are the same only with the same memory, size, dtype and axes") {
  Bytes memory(256);
  const auto list = [&](std::size_t source, std::size_t target, std::size_t extent,
                        std::ptrdiff_t stride, std::ptrdiff_t target_stride, DType dtype) {
    SpanList spans;
    spans.add_contiguous(memory.data(), memory.data(), 1, DType::kFloat32);  // shifts the axes
    std::vector<Axis> axes{{extent, stride, target_stride}, {2, 100, 100}};
    spans.add_strided(memory.data() + source, memory.data() + target, axes, dtype);
    return spans;
  };
  const SpanList spans = list(0, 0, 3, 16, 16, DType::kFloat32);
  CHECK(spans.same(1, list(0, 0, 3, 16, 16, DType::kFloat32)));
  CHECK(!spans.same(1, list(8, 0, 3, 16, 16, DType::kFloat32)));
  CHECK(!spans.same(1, list(0, 8, 3, 16, 16, DType::kFloat32)));
  CHECK(!spans.same(1, list(0, 0, 4, 16, 16, DType::kFloat32)));
  CHECK(!spans.same(1, list(0, 0, 1, 16, 16, DType::kFloat32)));
  CHECK(!spans.same(1, list(0, 0, 3, 12, 16, DType::kFloat32)));
  CHECK(!spans.same(1, list(0, 0, 3, 16, 12, DType::kFloat32)));
  CHECK(!spans.same(1, list(0, 0, 3, 16, 16, DType::kFloat64)));
}

TEST_CASE("a list is in place until a target differs from its source") {
  Bytes memory(64);
  SpanList spans;
  CHECK(spans.in_place());
  std::vector<Axis> axes{{3, 8, 8}};
  spans.add_strided(memory.data(), memory.data(), axes, DType::kFloat32);
  CHECK(spans.in_place());
  spans.add_contiguous(memory.data(), memory.data() + 32, 8, DType::kFloat32);
  CHECK(!spans.in_place());
}

}  // namespace
}  // namespace gradclip::test
