// Strided layouts as views have them, and where their elements lie, element by element.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/span.hpp"
#include "support/random.hpp"

namespace gradclip::test {

using Extents = std::vector<std::size_t>;

inline std::size_t count(const Extents& extents) {
  std::size_t product = 1;
  for (const std::size_t extent : extents) product *= extent;
  return product;
}

// Offsets in bytes from where a view's memory begins.
struct Layout {
  std::ptrdiff_t first = 0;  // of the element with all indices 0
  std::vector<std::ptrdiff_t> strides;
  std::size_t bytes = 0;
};

// The offset of every element, the last axis fastest.
inline std::vector<std::ptrdiff_t> offsets(const Extents& extents, const Layout& layout) {
  std::vector<std::ptrdiff_t> result;
  std::vector<std::size_t> index(extents.size(), 0);
  for (std::size_t left = count(extents); left > 0; --left) {
    std::ptrdiff_t offset = layout.first;
    for (std::size_t i = 0; i < index.size(); ++i) {
      offset += static_cast<std::ptrdiff_t>(index[i]) * layout.strides[i];
    }
    result.push_back(offset);
    for (std::size_t i = index.size(); i-- > 0 && ++index[i] == extents[i];) index[i] = 0;
  }
  return result;
}

// A view of a dense array or of records, with axes in any order, sliced with steps of any sign.
// Its elements are disjoint.
inline Layout random_view(Random& random, const Extents& extents, std::size_t item) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    order.insert(order.begin() + random.between<std::ptrdiff_t>(0, std::ssize(order)), i);
  }
  Layout layout{0, std::vector<std::ptrdiff_t>(extents.size()), 0};
  std::ptrdiff_t inner = static_cast<std::ptrdiff_t>(item);
  if (random.one_in(3)) inner += random.between(1, 5);
  for (const std::size_t axis : order) {
    const std::ptrdiff_t stride = random.one_in(3) ? inner * random.between(2, 3) : inner;
    const bool negative = extents[axis] > 0 && random.one_in(3);
    layout.strides[axis] = negative ? -stride : stride;
    const auto extent = static_cast<std::ptrdiff_t>(extents[axis]);
    if (negative) layout.first += stride * (extent - 1);
    inner = stride * extent;
    if (random.one_in(4)) inner += random.between(1, 7);
  }
  layout.bytes = static_cast<std::size_t>(inner) + item;
  return layout;
}

inline std::vector<Axis> axes_of(const Extents& extents, const Layout& source,
                                 const Layout& target) {
  std::vector<Axis> axes;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    axes.push_back({extents[i], source.strides[i], target.strides[i]});
  }
  return axes;
}

// Adds memory that is read and written in place.
inline void add(SpanList& spans, std::byte* memory, const Extents& extents, const Layout& layout,
                Element element) {
  auto axes = axes_of(extents, layout, layout);
  spans.add_strided(memory + layout.first, memory + layout.first, axes, element);
}

}  // namespace gradclip::test
