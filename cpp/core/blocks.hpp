// What passes are made of: a block's numbers, brought together and put back.
#pragma once

#include <cstddef>
#include <numeric>

#include "core/strided.hpp"
#include "core/work.hpp"

namespace gradclip {

// A block's elements in an array of that shape, of one unit.
inline Section section(const SpanList& spans, const Block& block, const Span& span) noexcept {
  const std::size_t numbers = span.element.pair ? 2 : 1;
  return {span, spans.axes(span), block.first / numbers, block.size / numbers};
}
// Those of some units, by their numbers.
inline Section section(const Work& work, const Block& block, const std::size_t* rows,
                       std::size_t count) noexcept {
  Section result = section(work.spans(), block, block.span);
  result.units = rows;
  result.unit_count = count;
  result.pitch = block.pitch() / (block.span.element.pair ? 2 : 1);
  result.interleaved = block.cut.interleaved;
  return result;
}

// What a block's units hold, one after another: `stride` bytes apart.
struct Rows {
  const std::byte* first;
  std::size_t stride;
  const std::byte* end;  // of the array, if it has to come from memory; else null
};

// Packed into the buffer.
[[gnu::noinline]] inline Rows packed(const Work& work, const Block& block,
                                     std::byte* buffer) noexcept {
  std::size_t rows[kMostUnits];
  std::iota(rows, rows + block.units, block.row);
  pack(section(work, block, rows, block.units), buffer);
  return {buffer, block.pitch() * item_size(block.span.dtype()), nullptr};
}

// In place, or packed into the buffer.
inline Rows read(const Work& work, const Block& block, std::byte* buffer) noexcept {
  const Span& span = block.span;
  if (!span.contiguous()) return packed(work, block, buffer);
  const std::size_t item = item_size(span.dtype());
  const std::size_t unit_size = block.cut.unit_size;
  return {span.source + (block.row * unit_size + block.first) * item, unit_size * item,
          work.in_caches() ? nullptr : span.source + span.bytes()};
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
      pack(section(work.spans(), block, span), buffer);
      const bool wrote = write(buffer, buffer, block.size, span.dtype());
      if (wrote || !in_place) unpack(section(work.spans(), block, span), buffer);
    }
  });
}

}  // namespace gradclip
