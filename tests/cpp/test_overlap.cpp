// Shared bytes within a span and between spans, against marking every byte.
#include <doctest/doctest.h>

#include <utility>
#include <vector>

#include "core/overlap.hpp"
#include "support/random.hpp"
#include "support/views.hpp"

namespace gradclip::test {
namespace {

bool is_said_to_overlap_itself(const View& view) {
  SpanList spans;
  view.add_to(spans);
  return overlaps_itself(spans, spans[0]);
}

SpanList list(const std::vector<View>& views) {
  SpanList spans;
  for (const View& view : views) view.add_to(spans);
  return spans;
}

constexpr Element kElements[] = {{DType::kFloat16},
                                 {DType::kFloat32},
                                 {DType::kFloat64},
                                 {DType::kFloat32, true},
                                 {DType::kFloat64, true}};

View random_layout(Random& random, int dims, std::size_t extent, int stride, int first) {
  View view{{}, {}, kElements[random.between(0, 4)]};
  view.layout.first = random.between(-first, first);
  for (int i = random.between(0, dims); i > 0; --i) {
    view.extents.push_back(random.between<std::size_t>(random.one_in(20) ? 0 : 1, extent));
    view.layout.strides.push_back(random.between(-stride, stride));
  }
  return view;
}

TEST_CASE("small arrays overlap themselves exactly when two elements share a byte") {
  Random random(1);
  int overlapping = 0;
  constexpr int kRounds = 20'000;
  for (int round = 0; round < kRounds; ++round) {
    const View view = random_layout(random, 4, 4, 40, 0);
    CAPTURE(round);
    CHECK(is_said_to_overlap_itself(view) == view.overlaps_itself());
    overlapping += view.overlaps_itself();
  }
  CHECK(overlapping > kRounds / 10);
  CHECK(overlapping < kRounds * 9 / 10);
}

TEST_CASE("views of one array do not overlap themselves") {
  Random random(2);
  for (int round = 0; round < 5000; ++round) {
    Extents extents(static_cast<std::size_t>(random.between(1, 6)));
    for (std::size_t& extent : extents) extent = random.between<std::size_t>(1, 5);
    CAPTURE(round);
    const Element element = kElements[random.between(0, 4)];
    const Layout layout = random_view(random, extents, element.bytes());
    CHECK(!is_said_to_overlap_itself({extents, layout, element}));
  }
}

TEST_CASE("the lowest pair that shares a byte is found, and no other") {
  Random random(3);
  int overlapping = 0;
  constexpr int kRounds = 5000;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<View> views;
    for (int i = random.between(0, 7); i > 0; --i) {
      views.push_back(random_layout(random, 2, 3, 30, 250));
    }
    CAPTURE(round);
    const Pair expected = lowest_pair(views);
    CHECK(overlapping_pair(list(views)) == expected);
    overlapping += expected.has_value();
  }
  CHECK(overlapping > kRounds / 10);
  CHECK(overlapping < kRounds * 9 / 10);
}

TEST_CASE("larger views: nothing that overlaps is missed, and few are refused in doubt") {
  Random random(4);
  int in_doubt = 0;
  constexpr int kRounds = 2000;
  for (int round = 0; round < kRounds; ++round) {
    const View a = random_layout(random, 3, 9, 2000, 500);
    const View b = random_layout(random, 3, 9, 2000, 500);
    CAPTURE(round);
    const bool within = is_said_to_overlap_itself(a);
    const bool between = overlapping_pair(list({a, b})).has_value();
    const bool overlap_within = a.overlaps_itself();
    const bool overlap_between = lowest_pair({a, b}).has_value();
    CHECK((within || !overlap_within));
    CHECK((between || !overlap_between));
    in_doubt += within != overlap_within || between != overlap_between;
  }
  CHECK(in_doubt <= kRounds / 20);
}

// Strides like these make a hard subset-sum problem; two spans share the byte they are made to.
TEST_CASE("what cannot be decided is refused, not missed") {
  Random random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<View> views(2);
    for (View& view : views) {
      view.element = {DType::kFloat32};
      for (int i = 0; i < 8; ++i) {
        view.extents.push_back(random.between<std::size_t>(2, 5));
        view.layout.strides.push_back(random.between<std::ptrdiff_t>(1 << 20, 1 << 30));
      }
    }
    for (std::size_t i = 0; i < 8; ++i) {
      for (const auto& [view, sign] : {std::pair(&views[0], 1), std::pair(&views[1], -1)}) {
        const auto last = static_cast<std::ptrdiff_t>(view->extents[i]) - 1;
        views[1].layout.first +=
            sign * random.between<std::ptrdiff_t>(0, last) * view->layout.strides[i];
      }
    }
    views[1].layout.first += random.between(-3, 3);
    CAPTURE(round);
    CHECK(overlapping_pair(list(views)) == std::pair<std::size_t, std::size_t>(0, 1));
  }
}

TEST_CASE("interleaved arrays as large as memory are told apart") {
  constexpr std::ptrdiff_t kRows = std::ptrdiff_t{1} << 38;
  const auto column = [](std::ptrdiff_t first, std::ptrdiff_t stride, Element element) {
    return View{{static_cast<std::size_t>(kRows)}, {first, {stride}, 0}, element};
  };
  const View real = column(0, 16, {DType::kFloat64});
  CHECK(!is_said_to_overlap_itself(real));
  CHECK(!overlapping_pair(list({real, column(8, 16, {DType::kFloat64})})));
  CHECK(!overlapping_pair(list({real, column(8, 16, {DType::kFloat32})})));
  CHECK(!overlapping_pair(list({real, column(12 + 16 * (kRows - 1), -16, {DType::kFloat32})})));
  CHECK(overlapping_pair(list({real, column(1, 16, {DType::kFloat64})})));
  CHECK(overlapping_pair(list({real, column(7, 16, {DType::kFloat32})})));
  CHECK(overlapping_pair(list({real, column(8, 24, {DType::kFloat64})})));
  CHECK(!overlapping_pair(list({real, column(14, 16, {DType::kBfloat16})})));
  CHECK(overlapping_pair(list({real, column(15, 16, {DType::kFloat16})})));

  const View complex = column(0, 32, {DType::kFloat64, true});
  CHECK(!is_said_to_overlap_itself(complex));
  CHECK(!overlapping_pair(list({complex, column(16, 32, {DType::kFloat64, true})})));
  CHECK(!overlapping_pair(list({complex, column(24, 32, {DType::kFloat32, true})})));
  CHECK(overlapping_pair(list({complex, column(15, 32, {DType::kFloat64, true})})));
  CHECK(overlapping_pair(list({complex, column(28, 32, {DType::kFloat32, true})})));
  CHECK(is_said_to_overlap_itself(column(0, 15, {DType::kFloat64, true})));

  const auto matrix = [](std::ptrdiff_t first, std::size_t rows, std::size_t columns) {
    return View{{rows, columns}, {first, {std::ptrdiff_t{1} << 21, 8}, 0}, {DType::kFloat64}};
  };
  const std::size_t half = std::size_t{1} << 17;
  const auto half_row = static_cast<std::ptrdiff_t>(half * 8);
  CHECK(!overlapping_pair(list({matrix(0, half, half), matrix(half_row, half, half)})));
  CHECK(overlapping_pair(list({matrix(0, half, half), matrix(half_row - 8, half, half)})));
  CHECK(is_said_to_overlap_itself(matrix(0, half, 2 * half + 1)));
}

TEST_CASE("of many arrays in any order, only those that overlap are found") {
  Random random(6);
  std::vector<View> views;
  for (int i = 0; i < 1000; ++i) {
    const auto place = views.begin() + random.between<std::ptrdiff_t>(0, std::ssize(views));
    views.insert(place, {{64}, {i * 256, {4}, 0}, {DType::kFloat32}});
  }
  CHECK(!overlapping_pair(list(views)));
  views.push_back(views[300]);
  views[800].layout.first = views[500].layout.first - 252;  // its last element, at least
  CHECK(overlapping_pair(list(views)) == lowest_pair(views));
}

TEST_CASE("empty arrays share nothing") {
  const View empty{{3, 0}, {8, {8, 8}, 0}, {DType::kFloat64}};
  const View full{{8}, {0, {8}, 0}, {DType::kFloat64}};
  CHECK(!is_said_to_overlap_itself(empty));
  CHECK(!overlapping_pair(list({empty, full, empty})));
  CHECK(!overlapping_pair(list({})));
}

}  // namespace
}  // namespace gradclip::test
