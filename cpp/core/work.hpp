// A list of spans cut up for passes over it: blocks for the numerics, chunks for the threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "core/arena.hpp"
#include "core/fp_environment.hpp"
#include "core/pool.hpp"
#include "core/span.hpp"
#include "core/strided.hpp"

namespace gradclip {

// How a span is cut into blocks: a matrix, whose rows are units, into tiles, row by row.
struct Cut {
  struct Tile {
    std::size_t row, rows;  // units
    std::size_t part;       // of each
    std::size_t first, size;
  };

  constexpr Cut() = default;
  Cut(const SpanList& spans, const Span& span) noexcept
      : unit_size(span.size), parts((span.size + kBlock - 1) / kBlock) {
    if (span.unit_ndim != 0) cut_units(spans, span);
  }

  std::size_t blocks() const noexcept {
    return units == 1 ? parts : parts * ((units + rows - 1) / rows);
  }
  // Calls visit(block, tile) for blocks [block, stop).
  template <class Visit>
  void for_each(std::size_t block, std::size_t stop, const Visit& visit) const {
    if (parts == 0) return;
    std::size_t row = block / parts * rows;
    std::size_t part = block % parts;
    for (; block < stop; ++block) {
      const std::size_t first = part * columns;
      visit(block, Tile{row, std::min(rows, units - row), part, first,
                        std::min(columns, unit_size - first)});
      if (++part == parts) {
        part = 0;
        row += rows;
      }
    }
  }

  std::size_t units = 1;         // of the span
  std::size_t unit_size = 0;     // in numbers
  std::size_t parts = 0;         // of a unit
  std::size_t rows = 1;          // a block's units
  std::size_t columns = kBlock;  // and their numbers
  bool interleaved = false;

 private:
  void cut_units(const SpanList& spans, const Span& span) noexcept;
};

// For blocks of arrays that are one unit, which need not be told more.
inline constexpr Cut kOneUnit;

// A block of at most kBlock numbers of each of `units` units, whole pairs of them: `size` numbers
// from `first` on. Blocks are counted from each unit's start, and what they hold of a unit are its
// parts. Parts and units are numbered over all spans; a unit has cut.parts of them.
struct Block {
  const Span& span;
  const Cut& cut;
  std::size_t first;
  std::size_t size;
  std::size_t part;      // of the first unit
  std::size_t unit = 0;  // the first one
  std::size_t row = 0;   // that unit's number within the span
  std::size_t units = 1;

  // How far units are apart in a buffer, in numbers. Not by a multiple of 4 KiB if they are packed
  // in turns, or all would fall into the same sets of a cache.
  std::size_t pitch() const noexcept {
    return cut.interleaved ? size + 64 / item_size(span.dtype()) : size;
  }
};

// As many threads as so much work, in bytes that are only read, pays for.
int threads_for(std::size_t effort) noexcept;

// Whether so much can be in the threads' own caches, of up to 2 MiB each.
constexpr bool fits_in_caches(std::size_t bytes, int threads) noexcept {
  return bytes <= static_cast<std::size_t>(threads) << 21;
}

struct WorkOptions {
  std::size_t cost = 1;     // how many times as long as reading the spans a pass over them takes
  std::size_t buffers = 0;  // for each worker, also if all spans are contiguous
};

// Cuts a list of spans into chunks of about 1 MiB of whole blocks, on as many threads as that
// pays for, and owns all the memory that passes over it need. Refers to the spans it is given.
class Work {
 public:
  explicit Work(const SpanList& spans, std::size_t cost = 1) : Work(spans, WorkOptions{cost}) {}
  Work(const SpanList& spans, WorkOptions options);

  const SpanList& spans() const noexcept { return spans_; }
  std::size_t parts() const noexcept { return parts_; }
  std::size_t units() const noexcept { return units_; }
  std::size_t bytes() const noexcept { return bytes_; }
  bool in_caches() const noexcept { return fits_in_caches(bytes_, threads_); }
  std::size_t buffer_bytes() const noexcept { return buffer_bytes_; }
  // In terms of bytes that are only read.
  std::size_t effort() const noexcept { return bytes_ * cost_; }
  const Contents& contents() const noexcept { return contents_; }
  static constexpr std::size_t kBufferBytes = kBlock * sizeof(double);

  // Calls visit(block, buffer) for every block, a chunk's blocks in order and in one thread, in
  // the floating-point environment asked for. `buffer` holds a block, or as many as were asked for,
  // and is the worker's own; it is null if all spans are contiguous and none were.
  template <class Visit>
  void for_each_block(Direction direction, Rounding rounding, const Visit& visit) const noexcept {
    struct Context {
      const Work& work;
      Rounding rounding;
      const Visit& visit;
    };
    const Context context{*this, rounding, visit};
    const auto body = [](const void* p, std::size_t chunk, int worker) noexcept {
      const Context& c = *static_cast<const Context*>(p);
      const FpEnvironment environment(c.rounding);
      c.work.visit_chunk(chunk, c.visit, c.work.buffer(worker));
    };
    run({body, &context, chunks_.size() - 1, threads_, direction, effort()});
  }

 private:
  // Where a chunk begins; it ends where the next one begins.
  struct Start {
    std::size_t span;
    std::size_t block;  // within the span
    std::size_t part;   // the span's first one
    std::size_t unit;   // the span's first one
  };

  template <class Visit>
  void visit_chunk(std::size_t chunk, const Visit& visit, std::byte* buffer) const {
    const Start& start = chunks_[chunk];
    const Start& end = chunks_[chunk + 1];
    std::size_t span = start.span, block = start.block, part = start.part, unit = start.unit;
    for (; span < end.span || (span == end.span && block < end.block); ++span, block = 0) {
      const Span& current = spans_[span];
      if (current.unit_ndim == 0) {  // most arrays
        const std::size_t stop =
            span == end.span ? std::min(end.block * kBlock, current.size) : current.size;
        part += block;
        for (std::size_t first = block * kBlock; first < stop; first += kBlock, ++part) {
          visit(Block{current, kOneUnit, first, std::min(kBlock, current.size - first), part, unit},
                buffer);
        }
        ++unit;
        continue;
      }
      const Cut cut(spans_, current);
      const std::size_t stop = span == end.span ? end.block : cut.blocks();
      cut.for_each(block, stop, [&](std::size_t, const Cut::Tile& tile) {
        visit(Block{current, cut, tile.first, tile.size, part + tile.row * cut.parts + tile.part,
                    unit + tile.row, tile.row, tile.rows},
              buffer);
      });
      part += cut.units * cut.parts;
      unit += cut.units;
    }
  }

  std::byte* buffer(int worker) const noexcept {
    if (buffers_.empty()) return nullptr;
    return buffers_.data() + static_cast<std::size_t>(worker) * buffers_of_worker_ * buffer_bytes_;
  }

  void cut(std::size_t chunk_bytes);

  const SpanList& spans_;
  std::size_t parts_ = 0;
  std::size_t units_ = 0;
  std::size_t bytes_ = 0;
  std::size_t cost_;
  std::size_t buffers_of_worker_;
  std::size_t buffer_bytes_ = kBufferBytes;
  Contents contents_;
  int threads_ = 1;
  Arena<128> arena_;
  ArenaVector<Start> chunks_{&arena_};  // one more than there are: the end
  mutable std::vector<std::byte> buffers_;
};

}  // namespace gradclip
