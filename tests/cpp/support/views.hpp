// Views of memory and the bytes they touch: what overlaps are judged by.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "support/layouts.hpp"

namespace gradclip::test {

using Pair = std::optional<std::pair<std::size_t, std::size_t>>;

// An address that nothing reads: extents may be as large as the address space.
inline std::byte* const memory = reinterpret_cast<std::byte*>(std::uintptr_t{1} << 44);

struct View {
  Extents extents;
  Layout layout;
  Element element;

  void add_to(SpanList& spans) const { add(spans, memory, extents, layout, element); }
  // In ascending order; as often as elements touch them.
  std::vector<std::ptrdiff_t> bytes() const {
    std::vector<std::ptrdiff_t> result;
    for (const std::ptrdiff_t offset : offsets(extents, layout)) {
      for (std::size_t i = 0; i < element.bytes(); ++i) {
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

inline Pair lowest_pair(const std::vector<View>& views) {
  std::vector<std::vector<std::ptrdiff_t>> bytes;
  for (const View& view : views) bytes.push_back(view.bytes());
  for (std::size_t i = 0; i < views.size(); ++i) {
    for (std::size_t j = i + 1; j < views.size(); ++j) {
      std::vector<std::ptrdiff_t> shared;
      std::ranges::set_intersection(bytes[i], bytes[j], std::back_inserter(shared));
      if (!shared.empty()) return std::pair(i, j);
    }
  }
  return std::nullopt;
}

}  // namespace gradclip::test
