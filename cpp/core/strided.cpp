#include "core/strided.hpp"

#include <algorithm>
#include <cstring>

namespace gradclip {
namespace {

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

// Calls copy(offset, stride, place, count) for runs of elements of all units: `place` is that of
// the first one in the buffer, in elements. Interleaved units take turns, so that each cache line
// is fetched once.
template <std::ptrdiff_t Axis::*kStride, class Copy>
void for_each_unit_run(const Section& section, const Copy& copy) {
  std::ptrdiff_t offsets[kMostUnits];
  offsets[0] = 0;
  for (std::size_t i = 0; section.units != nullptr && i < section.unit_count; ++i) {
    offsets[i] = unit_offset<kStride>(section, section.units[i]);
  }
  if (section.interleaved) {
    constexpr std::size_t kTurn = 16;  // rows whose cache lines wait for the next unit
    std::size_t place = 0;
    for_each_run<kStride>(
        section, [&](std::ptrdiff_t offset, std::ptrdiff_t stride, std::size_t count) {
          for (std::size_t size; count > 0; count -= size) {
            size = std::min(count, kTurn);
            for (std::size_t i = 0; i < section.unit_count; ++i) {
              copy(offsets[i] + offset, stride, i * section.pitch + place, size);
            }
            place += size;
            offset += static_cast<std::ptrdiff_t>(size) * stride;
          }
        });
    return;
  }
  for (std::size_t i = 0; i < section.unit_count; ++i) {
    std::size_t place = i * section.pitch;
    for_each_run<kStride>(section,
                          [&](std::ptrdiff_t offset, std::ptrdiff_t stride, std::size_t count) {
                            copy(offsets[i] + offset, stride, place, count);
                            place += count;
                          });
  }
}

template <std::size_t kItem>
void pack_items(const Section& section, std::byte* buffer) {
  const std::byte* const source = section.span.source;
  for_each_unit_run<&Axis::source_stride>(section, [&](std::ptrdiff_t offset, std::ptrdiff_t stride,
                                                       std::size_t place, std::size_t count) {
    copy_strided<kItem>(buffer + place * kItem, kItem, source + offset, stride, count);
  });
}

template <std::size_t kItem>
void unpack_items(const Section& section, const std::byte* buffer) {
  std::byte* const target = section.span.target;
  for_each_unit_run<&Axis::target_stride>(section, [&](std::ptrdiff_t offset, std::ptrdiff_t stride,
                                                       std::size_t place, std::size_t count) {
    copy_strided<kItem>(target + offset, stride, buffer + place * kItem, kItem, count);
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
