// Shared bytes within a span and between spans, against marking every byte.
#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "core/overlap.hpp"
#include "layouts.hpp"
#include "random.hpp"

namespace gradclip::test {
namespace {

using Pair = std::optional<std::pair<std::size_t, std::size_t>>;

// An address that nothing reads: extents may be as large as the address space.
std::byte* const memory = reinterpret_cast<std::byte*>(std::uintptr_t{1} << 44);

struct Array {
  Extents extents;
  Layout layout;
  DType dtype;

  void add_to(SpanList& spans) const { add(spans, memory, extents, layout, dtype); }
  // In ascending order; as often as elements touch them.
  std::vector<std::ptrdiff_t> bytes() const {
    std::vector<std::ptrdiff_t> result;
    for (const std::ptrdiff_t offset : offsets(extents, layout)) {
      for (std::size_t i = 0; i < item_size(dtype); ++i) {
        result.push_back(offset + static_cast<std::ptrdiff_t>(i));
      }
    }
    std::ranges::sort(result);
    return result;
  }
  bool overlaps_itself() const {
    const auto all = bytes();
    return std::ranges::adjacent_find(all) != all.end();
  }
};

bool is_said_to_overlap_itself(const Array& array) {
  SpanList spans;
  array.add_to(spans);
  return overlaps_itself(spans, spans[0]);
}

SpanList list(const std::vector<Array>& arrays) {
  SpanList spans;
  for (const Array& array : arrays) array.add_to(spans);
  return spans;
}

Pair lowest_pair(const std::vector<Array>& arrays) {
  std::vector<std::vector<std::ptrdiff_t>> bytes;
  for (const Array& array : arrays) bytes.push_back(array.bytes());
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    for (std::size_t j = i + 1; j < arrays.size(); ++j) {
      std::vector<std::ptrdiff_t> shared;
      std::ranges::set_intersection(bytes[i], bytes[j], std::back_inserter(shared));
      if (!shared.empty()) return std::pair(i, j);
    }
  }
  return std::nullopt;
}

Array random_array(Random& random, int dims, std::size_t extent, int stride, int first) {
  Array array{{}, {}, random.one_in(2) ? DType::kFloat32 : DType::kFloat64};
  array.layout.first = random.between(-first, first);
  for (int i = random.between(0, dims); i > 0; --i) {
    array.extents.push_back(random.between<std::size_t>(random.one_in(20) ? 0 : 1, extent));
    array.layout.strides.push_back(random.between(-stride, stride));
  }
  return array;
}

TEST_CASE("small arrays overlap themselves exactly when two elements share a byte") {
  Random random(1);
  int overlapping = 0;
  constexpr int kRounds = 20'000;
  for (int round = 0; round < kRounds; ++round) {
    const Array array = random_array(random, 4, 4, 40, 0);
    CAPTURE(round);
    CHECK(is_said_to_overlap_itself(array) == array.overlaps_itself());
    overlapping += array.overlaps_itself();
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
    CHECK(!is_said_to_overlap_itself({extents, random_view(random, extents, 8), DType::kFloat64}));
  }
}

TEST_CASE("the lowest pair that shares a byte is found, and no other") {
  Random random(3);
  int overlapping = 0;
  constexpr int kRounds = 5000;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<Array> arrays;
    for (int i = random.between(0, 7); i > 0; --i) {
      arrays.push_back(random_array(random, 2, 3, 30, 250));
    }
    CAPTURE(round);
    const Pair expected = lowest_pair(arrays);
    CHECK(overlapping_pair(list(arrays)) == expected);
    overlapping += expected.has_value();
  }
  CHECK(overlapping > kRounds / 10);
  CHECK(overlapping < kRounds * 9 / 10);
}

TEST_CASE("larger arrays: nothing that overlaps is missed, and few are refused in doubt") {
  Random random(4);
  int in_doubt = 0;
  constexpr int kRounds = 2000;
  for (int round = 0; round < kRounds; ++round) {
    const Array a = random_array(random, 3, 9, 2000, 500);
    const Array b = random_array(random, 3, 9, 2000, 500);
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
    std::vector<Array> arrays(2);
    for (Array& array : arrays) {
      array.dtype = DType::kFloat32;
      for (int i = 0; i < 8; ++i) {
        array.extents.push_back(random.between<std::size_t>(2, 5));
        array.layout.strides.push_back(random.between<std::ptrdiff_t>(1 << 20, 1 << 30));
      }
    }
    for (std::size_t i = 0; i < 8; ++i) {
      for (const auto& [array, sign] : {std::pair(&arrays[0], 1), std::pair(&arrays[1], -1)}) {
        const auto last = static_cast<std::ptrdiff_t>(array->extents[i]) - 1;
        arrays[1].layout.first +=
            sign * random.between<std::ptrdiff_t>(0, last) * array->layout.strides[i];
      }
    }
    arrays[1].layout.first += random.between(-3, 3);
    CAPTURE(round);
    CHECK(overlapping_pair(list(arrays)) == std::pair<std::size_t, std::size_t>(0, 1));
  }
}

TEST_CASE("interleaved arrays as large as memory are told apart") {
  constexpr std::ptrdiff_t kRows = std::ptrdiff_t{1} << 38;
  const auto column = [](std::ptrdiff_t first, std::ptrdiff_t stride, DType dtype) {
    return Array{{static_cast<std::size_t>(kRows)}, {first, {stride}, 0}, dtype};
  };
  const Array real = column(0, 16, DType::kFloat64);
  CHECK(!is_said_to_overlap_itself(real));
  CHECK(!overlapping_pair(list({real, column(8, 16, DType::kFloat64)})));
  CHECK(!overlapping_pair(list({real, column(8, 16, DType::kFloat32)})));
  CHECK(!overlapping_pair(list({real, column(12 + 16 * (kRows - 1), -16, DType::kFloat32)})));
  CHECK(overlapping_pair(list({real, column(1, 16, DType::kFloat64)})));
  CHECK(overlapping_pair(list({real, column(7, 16, DType::kFloat32)})));
  CHECK(overlapping_pair(list({real, column(8, 24, DType::kFloat64)})));

  const auto matrix = [](std::ptrdiff_t first, std::size_t rows, std::size_t columns) {
    return Array{{rows, columns}, {first, {std::ptrdiff_t{1} << 21, 8}, 0}, DType::kFloat64};
  };
  const std::size_t half = std::size_t{1} << 17;
  const auto half_row = static_cast<std::ptrdiff_t>(half * 8);
  CHECK(!overlapping_pair(list({matrix(0, half, half), matrix(half_row, half, half)})));
  CHECK(overlapping_pair(list({matrix(0, half, half), matrix(half_row - 8, half, half)})));
  CHECK(is_said_to_overlap_itself(matrix(0, half, 2 * half + 1)));
}

TEST_CASE("of many arrays in any order, only those that overlap are found") {
  Random random(6);
  std::vector<Array> arrays;
  for (int i = 0; i < 1000; ++i) {
    const auto place = arrays.begin() + random.between<std::ptrdiff_t>(0, std::ssize(arrays));
    arrays.insert(place, {{64}, {i * 256, {4}, 0}, DType::kFloat32});
  }
  CHECK(!overlapping_pair(list(arrays)));
  arrays.push_back(arrays[300]);
  arrays[800].layout.first = arrays[500].layout.first - 252;  // its last element, at least
  CHECK(overlapping_pair(list(arrays)) == lowest_pair(arrays));
}

TEST_CASE("empty arrays share nothing") {
  const Array empty{{3, 0}, {8, {8, 8}, 0}, DType::kFloat64};
  const Array full{{8}, {0, {8}, 0}, DType::kFloat64};
  CHECK(!is_said_to_overlap_itself(empty));
  CHECK(!overlapping_pair(list({empty, full, empty})));
  CHECK(!overlapping_pair(list({})));
}

}  // namespace
}  // namespace gradclip::test
