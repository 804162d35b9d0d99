// Arrays of many units: each is measured and written as an array of its own, bit for bit.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <vector>

#include "core/passes.hpp"
#include "support/layouts.hpp"
#include "support/memory.hpp"
#include "support/numbers.hpp"
#include "support/random.hpp"
#include "support/settings.hpp"

namespace gradclip::test {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A view of which some axes tell units apart.
struct Case {
  Element element;
  Extents unit_extents;
  Extents extents;
  Layout unit_layout;
  Layout layout;
  std::vector<std::byte> memory;

  std::size_t units() const { return count(unit_extents); }
  std::vector<Axis> unit_axes() const { return axes_of(unit_extents, unit_layout, unit_layout); }
  std::vector<Axis> axes() const { return axes_of(extents, layout, layout); }
  std::byte* first() { return memory.data() + unit_layout.first + layout.first; }

  SpanList in_units() {
    SpanList spans;
    auto of_units = unit_axes();
    auto of_elements = axes();
    spans.add_units(first(), first(), of_units, of_elements, element);
    return spans;
  }
  // Each unit as an array.
  SpanList one_by_one() {
    SpanList spans;
    for (const std::ptrdiff_t offset : offsets(unit_extents, unit_layout)) {
      std::byte* const unit = memory.data() + layout.first + offset;
      auto of_elements = axes();
      spans.add_strided(unit, unit, of_elements, element);
    }
    return spans;
  }
};

constexpr Element kElements[] = {{DType::kFloat16},       {DType::kBfloat16},
                                 {DType::kFloat32},       {DType::kFloat64},
                                 {DType::kFloat32, true}, {DType::kFloat64, true}};

// Takes a layout of all axes apart.
Case random_case(Random& random, Extents unit_extents, Extents extents) {
  Case c{kElements[random.between(0, 5)], std::move(unit_extents), std::move(extents), {}, {}, {}};
  Extents all = c.unit_extents;
  all.insert(all.end(), c.extents.begin(), c.extents.end());
  const Layout both = random_view(random, all, c.element.bytes());
  const auto middle = both.strides.begin() + std::ssize(c.unit_extents);
  c.unit_layout.strides.assign(both.strides.begin(), middle);
  c.layout.strides.assign(middle, both.strides.end());
  c.unit_layout.first = both.first;
  c.memory.resize(both.bytes);
  with_type(c.element.dtype, [&]<class T>(T value) {
    for (std::size_t i = 0; i + sizeof value <= c.memory.size(); i += sizeof value) {
      value = from_double<T>(random.real(-3, 3));
      std::memcpy(c.memory.data() + i, &value, sizeof value);
    }
  });
  return c;
}

Extents random_extents(Random& random, std::size_t most) {
  Extents extents(random.between<std::size_t>(0, 3));
  for (std::size_t& extent : extents) extent = random.between<std::size_t>(1, most);
  return extents;
}

std::vector<Case> cases() {
  Random random(1);
  std::vector<Case> all;
  for (int round = 0; round < 60; ++round) {
    all.push_back(random_case(random, random_extents(random, 9), random_extents(random, 9)));
  }
  for (const std::size_t units :
       {3u, 40u, 600u}) {  // rows and columns, and more than a tile of them
    all.push_back(random_case(random, {units}, {70}));
  }
  all.push_back(random_case(random, {20}, {kBlock + 5}));
  all.push_back(random_case(random, {3}, {2, kBlock / 2 + 1}));
  all.push_back(random_case(random, {0, 3}, {5}));
  all.push_back(random_case(random, {4}, {0}));
  return all;
}

// As bits: elements at odd addresses may be NaN.
std::vector<std::uint64_t> unit_norms(const Work& work, Order order) {
  Norms norms(work, order);
  norms.measure();
  std::vector<double> values(work.units());
  norms.unit_norms(values.data());
  std::vector<std::uint64_t> result;
  for (const double value : values) result.push_back(bits(value));
  return result;
}

TEST_CASE("a unit's norm is that of an array of its own") {
  for (Case& c : cases()) {
    for (const double p : {1.0, 2.0, 3.0, std::numeric_limits<double>::infinity()}) {
      const Order order = Order::of(p);
      const SpanList apart = c.one_by_one();
      const std::vector<std::uint64_t> expected = unit_norms(Work(apart), order);
      const SpanList spans = c.in_units();
      REQUIRE(expected.size() == c.units());
      for_each_setting([&] { CHECK(unit_norms(Work(spans), order) == expected); });
    }
  }
}

TEST_CASE("a unit is written as an array of its own, and nothing if it is kept") {
  Random random(2);
  for (Case& c : cases()) {
    std::vector<double> norms(c.units());
    std::vector<double> max_norms(c.units());
    for (std::size_t i = 0; i < norms.size(); ++i) {
      norms[i] = random.one_in(6) ? kNaN : random.positive(-1, 1);
      max_norms[i] = random.one_in(6) ? 0.0 : random.positive(-1, 1);
    }
    for (const NonFinite policy : {NonFinite::kSkip, NonFinite::kZero, NonFinite::kPropagate}) {
      Case expected = c;
      const SpanList apart = expected.one_by_one();
      const UnitPlans plans(norms, max_norms, Order{}, 0.0, policy);
      write(Work(apart), plans);
      for_each_setting([&] {
        Case written = c;
        const SpanList spans = written.in_units();
        write(Work(spans), plans);
        CHECK(same_bytes(written.memory, expected.memory));
      });
    }
  }
}

TEST_CASE("an array on its own is clipped by its own precision, whatever stands beside it") {
  Random random(3);
  Case wide = random_case(random, {}, {50}), half = wide;
  wide.element = {DType::kFloat64};
  half.element = {DType::kFloat16};
  wide.layout.strides = {8};
  half.layout.strides = {2};
  for (Case* c : {&wide, &half}) {
    c->layout.first = c->unit_layout.first = 0;
    c->memory.resize(50 * c->element.bytes());
    with_type(c->element.dtype, [&]<class T>(T value) {
      for (std::size_t i = 0; i < 50; ++i) {
        value = from_double<T>(random.real(-3, 3));
        std::memcpy(c->memory.data() + i * sizeof value, &value, sizeof value);
      }
    });
  }
  const double max_norm[] = {0.7};
  const double norms[] = {9.0, 5.0};
  Case alone = wide;
  const SpanList of_wide = alone.one_by_one();
  write(Work(of_wide), plan_clip(9.0, 0.7, {}, precision(Work(of_wide).contents(), Order{})));
  SpanList both = wide.one_by_one();
  both.append(half.one_by_one());
  write(Work(both), UnitPlans(norms, max_norm, Order{}, 0.0, NonFinite::kRaise));
  CHECK(same_bytes(wide.memory, alone.memory));
}

TEST_CASE("blocks of units cover every number once") {
  for (Case& c : cases()) {
    const SpanList spans = c.in_units();
    for (const int threads : kThreadCounts) {
      const Threads limit(threads);
      const Work work(spans);
      std::atomic<std::size_t> numbers{0};
      std::vector<std::atomic<int>> parts(work.parts());
      work.for_each_block(Direction::kForward, Rounding::kNearest,
                          [&](const Block& block, std::byte*) {
                            numbers += block.units * block.size;
                            for (std::size_t i = 0; i < block.units; ++i) {
                              ++parts[block.part + i * block.cut.parts];
                            }
                          });
      CHECK(numbers.load() == spans[0].size);
      CHECK(std::ranges::all_of(parts, [](const auto& visits) { return visits.load() == 1; }));
    }
  }
}

}  // namespace
}  // namespace gradclip::test
