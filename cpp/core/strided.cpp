#include "core/strided.hpp"

#include <algorithm>
#include <cstring>

namespace gradclip {
namespace {

// Calls copy(offset, stride, count) for each run along the fastest axis. Offsets are those of the
// source or of the target, whichever stride is chosen.
template <std::ptrdiff_t Axis::*kStride, class Copy>
void for_each_run(const Section& section, Copy copy) {
  const std::size_t last = section.span.ndim - 1u;
  std::size_t index[255];
  std::ptrdiff_t offset = 0;
  for (std::size_t i = last + 1, rest = section.first; i-- > 0; rest /= section.axes[i].extent) {
    index[i] = rest % section.axes[i].extent;
    offset += static_cast<std::ptrdiff_t>(index[i]) * (section.axes[i].*kStride);
  }
  for (std::size_t left = section.count; left > 0;) {
    const Axis& fastest = section.axes[last];
    const std::size_t run = std::min(left, fastest.extent - index[last]);
    copy(offset, fastest.*kStride, run);
    left -= run;
    index[last] += run;
    offset += static_cast<std::ptrdiff_t>(run) * (fastest.*kStride);
    for (std::size_t i = last; i > 0 && index[i] == section.axes[i].extent; --i) {
      const auto extent = static_cast<std::ptrdiff_t>(section.axes[i].extent);
      offset += section.axes[i - 1].*kStride - extent * (section.axes[i].*kStride);
      index[i] = 0;
      ++index[i - 1];
    }
  }
}

// memcpy of a constant size is one move, and may be misaligned.
template <std::size_t kItem>
void copy_strided(std::byte* to, std::ptrdiff_t to_stride, const std::byte* from,
                  std::ptrdiff_t from_stride, std::size_t count) {
  if (to_stride == kItem && from_stride == kItem) {
    std::memcpy(to, from, count * kItem);
    return;
  }
  for (; count > 0; --count, to += to_stride, from += from_stride) std::memcpy(to, from, kItem);
}

template <std::size_t kItem>
void pack_items(const Section& section, std::byte* buffer) {
  for_each_run<&Axis::source_stride>(
      section, [&](std::ptrdiff_t offset, std::ptrdiff_t stride, std::size_t count) {
        copy_strided<kItem>(buffer, kItem, section.span.source + offset, stride, count);
        buffer += count * kItem;
      });
}

template <std::size_t kItem>
void unpack_items(const Section& section, const std::byte* buffer) {
  for_each_run<&Axis::target_stride>(
      section, [&](std::ptrdiff_t offset, std::ptrdiff_t stride, std::size_t count) {
        copy_strided<kItem>(section.span.target + offset, stride, buffer, kItem, count);
        buffer += count * kItem;
      });
}

// Calls visit with the size as a constant.
template <class Visit>
void with_item_size(const Section& section, const Visit& visit) {
  switch (section.span.element.bytes()) {
    case 2:
      return visit.template operator()<2>();
    case 4:
      return visit.template operator()<4>();
    case 8:
      return visit.template operator()<8>();
    case 16:
      return visit.template operator()<16>();
    default:
      __builtin_unreachable();
  }
}

}  // namespace

void pack(const Section& section, std::byte* buffer) noexcept {
  with_item_size(section, [&]<std::size_t kItem>() { pack_items<kItem>(section, buffer); });
}

void unpack(const Section& section, const std::byte* buffer) noexcept {
  with_item_size(section, [&]<std::size_t kItem>() { unpack_items<kItem>(section, buffer); });
}

}  // namespace gradclip
