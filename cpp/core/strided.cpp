#include "core/strided.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/runs.hpp"

namespace gradclip {
namespace {

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

constexpr std::size_t kSquare = 4;
constexpr std::size_t kTurn = 2 * kSquare;

// Reads kSquare rows of so many items, and writes them as columns.
template <std::size_t kItem>
void transpose(std::byte* to, std::ptrdiff_t to_stride, const std::byte* from,
               std::ptrdiff_t from_stride) {
  if constexpr (kItem == 4) {  // in registers
    using Row = std::uint32_t __attribute__((vector_size(16)));
    Row rows[kSquare];
    for (Row& row : rows) {
      std::memcpy(&row, from, sizeof row);
      from += from_stride;
    }
    const Row a = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
    const Row b = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
    const Row c = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
    const Row d = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
    const Row columns[kSquare] = {
        __builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7),
        __builtin_shufflevector(c, d, 0, 1, 4, 5), __builtin_shufflevector(c, d, 2, 3, 6, 7)};
    for (const Row& column : columns) {
      std::memcpy(to, &column, sizeof column);
      to += to_stride;
    }
  } else {
    for (std::size_t i = 0; i < kSquare; ++i, to += to_stride, from += kItem) {
      copy_strided<kItem>(to, kItem, from, from_stride, kSquare);
    }
  }
}

// Between an array's memory and a buffer, in which `place` is that of an element. `run` copies
// elements of one unit, a stride apart; `square` kSquare of each of as many neighbouring units,
// which lie `pitch` apart in the buffer.
template <std::size_t kItem>
struct Packing {
  static constexpr std::ptrdiff_t Axis::*kStride = &Axis::source_stride;
  const std::byte* array;
  std::byte* buffer;

  void run(std::ptrdiff_t offset, std::ptrdiff_t stride, std::size_t place,
           std::size_t count) const {
    copy_strided<kItem>(buffer + place * kItem, kItem, array + offset, stride, count);
  }
  void square(std::ptrdiff_t offset, std::ptrdiff_t stride, std::size_t place,
              std::size_t pitch) const {
    transpose<kItem>(buffer + place * kItem, static_cast<std::ptrdiff_t>(pitch * kItem),
                     array + offset, stride);
  }
};

template <std::size_t kItem>
struct Unpacking {
  static constexpr std::ptrdiff_t Axis::*kStride = &Axis::target_stride;
  std::byte* array;
  const std::byte* buffer;

  void run(std::ptrdiff_t offset, std::ptrdiff_t stride, std::size_t place,
           std::size_t count) const {
    copy_strided<kItem>(array + offset, stride, buffer + place * kItem, kItem, count);
  }
  void square(std::ptrdiff_t offset, std::ptrdiff_t stride, std::size_t place,
              std::size_t pitch) const {
    transpose<kItem>(array + offset, stride, buffer + place * kItem,
                     static_cast<std::ptrdiff_t>(pitch * kItem));
  }
};

// A few elements of all units in turns, so that each cache line is fetched once; few, since at some
// strides they all fall into one set of the cache.
template <std::size_t kItem, class Copy>
void copy_in_turns(const Section& section, const std::ptrdiff_t* offsets, const Copy& copy) {
  const auto neighbours = [&](std::size_t i) {
    if (i + kSquare > section.unit_count) return false;
    for (const std::size_t end = i + kSquare - 1; i < end; ++i) {
      if (offsets[i + 1] - offsets[i] != kItem) return false;
    }
    return true;
  };
  std::size_t place = 0;
  const auto turn = [&](std::ptrdiff_t offset, std::ptrdiff_t stride, std::size_t size) {
    for (std::size_t i = 0; i < section.unit_count;) {
      const std::size_t from = i * section.pitch + place;
      if (size == kTurn && neighbours(i)) {
        copy.square(offsets[i] + offset, stride, from, section.pitch);
        copy.square(offsets[i] + offset + static_cast<std::ptrdiff_t>(kSquare) * stride, stride,
                    from + kSquare, section.pitch);
        i += kSquare;
      } else {
        copy.run(offsets[i++] + offset, stride, from, size);
      }
    }
  };
  for_each_run<Copy::kStride>(
      section, [&](std::ptrdiff_t offset, std::ptrdiff_t stride, std::size_t count) {
        for (std::size_t size; count > 0; count -= size) {
          size = std::min(count, kTurn);
          if (count >= kTurn + kRowsAhead) {
            fetch_rows(copy.array + offsets[0] + offset, stride, kTurn, section.unit_count * kItem);
          }
          turn(offset, stride, size);
          place += size;
          offset += static_cast<std::ptrdiff_t>(size) * stride;
        }
      });
}

template <std::size_t kItem, class Copy>
void copy_units(const Section& section, const Copy& copy) {
  std::ptrdiff_t offsets[kMostUnits];
  offsets[0] = 0;
  for (std::size_t i = 0; section.units != nullptr && i < section.unit_count; ++i) {
    offsets[i] = unit_offset<Copy::kStride>(section, section.units[i]);
  }
  if (section.interleaved) return copy_in_turns<kItem>(section, offsets, copy);
  for (std::size_t i = 0; i < section.unit_count; ++i) {
    std::size_t place = i * section.pitch;
    for_each_run<Copy::kStride>(
        section, [&](std::ptrdiff_t offset, std::ptrdiff_t stride, std::size_t count) {
          copy.run(offsets[i] + offset, stride, place, count);
          place += count;
        });
  }
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
  with_item_size(section, [&]<std::size_t kItem>() {
    copy_units<kItem>(section, Packing<kItem>{section.span.source, buffer});
  });
}

void unpack(const Section& section, const std::byte* buffer) noexcept {
  with_item_size(section, [&]<std::size_t kItem>() {
    copy_units<kItem>(section, Unpacking<kItem>{section.span.target, buffer});
  });
}

}  // namespace gradclip
