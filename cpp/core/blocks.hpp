// What passes are made of: a block's numbers, brought together and put back.
#pragma once

#include <cstddef>
#include <numeric>

#include "core/strided.hpp"
#include "core/work.hpp"

namespace gradclip {

// The elements of a block of an array that is one unit.
inline Section section(const SpanList& spans, const Block& block, const Span& span) noexcept {
  const std::size_t numbers = span.element.pair ? 2 : 1;
  Section result{span, spans.axes(span), block.first / numbers, block.size / numbers};
  result.pitch = Work::pitch(span, block.size) / numbers;
  return result;
}
inline Section section(const Work& work, const Block& block) noexcept {
  return section(work.spans(), block, block.span);
}

// What a block's units hold, one after another: `stride` bytes apart.
struct Rows {
  const std::byte* first;
  std::size_t stride;
};

// In place, or packed into the buffer.
inline Rows read(const Work& work, const Block& block, std::byte* buffer) noexcept {
  const Span& span = block.span;
  const std::size_t item = item_size(span.dtype());
  if (span.contiguous()) {
    const std::size_t unit_size = span.unit_size();
    return {span.source + (block.row * unit_size + block.first) * item, unit_size * item};
  }
  std::size_t rows[kMostUnits];
  Section packed = section(work, block);
  if (span.units != 1) {
    packed.units = rows;
    packed.unit_count = block.units;
    std::iota(rows, rows + block.units, block.row);
  }
  pack(packed, buffer);
  return {buffer, Work::pitch(span, block.size) * item};
}

// A pass that gives every block's target a new value: write(source, target, count, dtype), which
// returns whether it wrote anything. Arrays are one unit each.
template <class Write>
void transform(const Work& work, Rounding rounding, const Write& write) noexcept {
  const bool in_place = work.spans().in_place();
  work.for_each_block(Direction::kMirrored, rounding, [&](const Block& block, std::byte* buffer) {
    const Span& span = block.span;
    if (span.contiguous()) {
      const std::size_t offset = block.first * item_size(span.dtype());
      write(span.source + offset, span.target + offset, block.size, span.dtype());
    } else {
      pack(section(work, block), buffer);
      const bool wrote = write(buffer, buffer, block.size, span.dtype());
      if (wrote || !in_place) unpack(section(work, block), buffer);
    }
  });
}

}  // namespace gradclip
