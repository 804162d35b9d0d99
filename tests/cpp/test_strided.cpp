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

// Of 2, 4, 8, 8 and 16 bytes.
constexpr Element kElements[] = {{DType::kBfloat16},
                                 {DType::kFloat32},
                                 {DType::kFloat64},
                                 {DType::kFloat32, true},
                                 {DType::kFloat64, true}};

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
  const std::size_t count = span.bytes() / span.element.bytes();
  for (std::size_t first = 0; first < count;) {
    const auto size = random.between<std::size_t>(1, count - first);
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
    pack(section, result.data() + section.first * span.element.bytes());
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
    unpack(section, values.data() + section.first * span.element.bytes());
  }
}

TEST_CASE("elements are visited in ascending address order, and written where they belong") {
  Random random(1);
  for (int round = 0; round < 6000; ++round) {
    const Element element = kElements[random.between(0, 4)];
    const std::size_t item = element.bytes();
    const Extents extents = random_extents(random);
    const Layout source = random_view(random, extents, item);
    const Layout target = random_view(random, extents, item);
    CAPTURE(round);

    const Bytes from = random_bytes(random, source.bytes);
    Bytes to = random_bytes(random, target.bytes);
    SpanList spans;
    auto axes = axes_of(extents, source, target);
    spans.add_strided(from.data() + source.first, to.data() + target.first, axes, element);
    REQUIRE(spans.size() == 1);
    REQUIRE(spans[0].size == (element.pair ? 2 : 1) * count(extents));

    std::vector<std::pair<std::ptrdiff_t, std::ptrdiff_t>> places;  // in source and target
    const auto sources = offsets(extents, source);
    const auto targets = offsets(extents, target);
    for (std::size_t i = 0; i < sources.size(); ++i) places.emplace_back(sources[i], targets[i]);
    std::ranges::sort(places);

    Bytes packed;
    for (const auto& [place, _] : places) {
      const auto begin = from.begin() + place;
      packed.insert(packed.end(), begin, begin + static_cast<std::ptrdiff_t>(item));
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

TEST_CASE("a broadcast array is read as often as it has elements") {
  Random random(2);
  const Bytes memory = random_bytes(random, 12);
  SpanList spans;
  std::vector<Axis> axes{{5, 0, 12}, {3, 4, 4}, {2, 0, 60}};
  spans.add_strided(memory.data(), nullptr, axes, {DType::kFloat32});
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

}  // namespace
}  // namespace gradclip::test
