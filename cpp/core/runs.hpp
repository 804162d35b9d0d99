// Where the elements of a section lie.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/strided.hpp"

namespace gradclip {

// How many rows of neighbouring units are asked for before they are read. Each may lie in a page of
// its own, where processors do not foresee it: without, columns take a third longer.
inline constexpr std::size_t kRowsAhead = 16;

// Asks for `count` rows of so many bytes, kRowsAhead of them after this one.
inline void fetch_rows(const std::byte* row, std::ptrdiff_t stride, std::size_t count,
                       std::size_t bytes) noexcept {
  constexpr std::size_t kLine = 64;
  for (std::size_t k = kRowsAhead; k < kRowsAhead + count; ++k) {
    const std::byte* const ahead = row + static_cast<std::ptrdiff_t>(k) * stride;
    for (std::size_t line = 0; line < bytes; line += kLine) __builtin_prefetch(ahead + line);
  }
}

// Calls copy(offset, stride, count) for each run along the fastest axis. Offsets are those of the
// source or of the target, whichever stride is chosen, from a unit's first element.
template <std::ptrdiff_t Axis::*kStride, class Copy>
void for_each_run(const Section& section, Copy copy) {
  const Axis* const axes = section.axes + section.span.unit_ndim;
  const std::size_t ndim = section.span.ndim - section.span.unit_ndim;
  if (ndim == 0) return copy(0, 0, section.count);  // units of one element
  const std::size_t last = ndim - 1;
  std::size_t index[255];
  std::ptrdiff_t offset = 0;
  for (std::size_t i = ndim, rest = section.first; i-- > 0; rest /= axes[i].extent) {
    index[i] = rest % axes[i].extent;
    offset += static_cast<std::ptrdiff_t>(index[i]) * (axes[i].*kStride);
  }
  for (std::size_t left = section.count; left > 0;) {
    const Axis& fastest = axes[last];
    const std::size_t run = std::min(left, fastest.extent - index[last]);
    copy(offset, fastest.*kStride, run);
    left -= run;
    index[last] += run;
    offset += static_cast<std::ptrdiff_t>(run) * (fastest.*kStride);
    for (std::size_t i = last; i > 0 && index[i] == axes[i].extent; --i) {
      const auto extent = static_cast<std::ptrdiff_t>(axes[i].extent);
      offset += axes[i - 1].*kStride - extent * (axes[i].*kStride);
      index[i] = 0;
      ++index[i - 1];
    }
  }
}

// Where a unit begins.
template <std::ptrdiff_t Axis::*kStride>
std::ptrdiff_t unit_offset(const Section& section, std::size_t unit) {
  std::ptrdiff_t offset = 0;
  for (std::size_t i = section.span.unit_ndim; i-- > 0; unit /= section.axes[i].extent) {
    offset +=
        static_cast<std::ptrdiff_t>(unit % section.axes[i].extent) * (section.axes[i].*kStride);
  }
  return offset;
}

}  // namespace gradclip
