#include "core/work.hpp"

#include <algorithm>

namespace gradclip {
namespace {

// Coarse enough that the second pass, which mirrors the order, finds the end of the first in
// cache; fine enough to share out: 1 MiB is 35 µs of DRAM bandwidth.
constexpr std::size_t kLargestChunk = std::size_t{1} << 20;
constexpr std::size_t kSmallestChunk = std::size_t{1} << 17;

// What each thread must have to do: with less, one more costs more than it brings, 8 µs for its
// wake-up and the barriers.
constexpr std::size_t kLeastBytesPerThread = std::size_t{3} << 17;

// A tile of interleaved units: as many as this holds, so that it stays in a core's cache, and a
// cache line's at least.
constexpr std::size_t kTileBytes = std::size_t{1} << 19;
constexpr std::size_t kLineBytes = 64;
constexpr std::size_t kLeastRowBytes = 256;

}  // namespace

int threads_for(std::size_t effort) noexcept {
  const auto most = static_cast<std::size_t>(get_num_threads());
  return static_cast<int>(std::clamp(effort / kLeastBytesPerThread, std::size_t{1}, most));
}

void Cut::cut_units(const SpanList& spans, const Span& span) noexcept {
  units = spans.units(span);
  unit_size = spans.unit_size(span);
  interleaved = spans.interleaved(span);
  columns = std::min(unit_size, kBlock);
  parts = columns == 0 ? 0 : (unit_size + columns - 1) / columns;
  if (columns == 0) return;
  const std::size_t item = item_size(span.dtype());
  rows = interleaved ? std::max(kTileBytes / (columns * item), kLeastRowBytes / item)
                     : kBlock / columns;
  rows = std::min({rows, units, kMostUnits});
}

Work::Work(const SpanList& spans, WorkOptions options)
    : spans_(spans),
      cost_(options.cost),
      buffers_of_worker_(std::max<std::size_t>(1, options.buffers)) {
  bool buffered = options.buffers > 0;
  for (const Span& span : spans) {
    const Cut of_span(spans, span);
    parts_ += of_span.units * of_span.parts;
    units_ += of_span.units;
    bytes_ += span.bytes();
    contents_.add(span.element);
    if (!span.contiguous()) {
      buffered = true;
      const std::size_t unit_bytes = of_span.columns * item_size(span.dtype()) + kLineBytes;
      if (of_span.interleaved) buffer_bytes_ = std::max(buffer_bytes_, of_span.rows * unit_bytes);
    }
  }
  const int threads = threads_for(effort());
  const std::size_t share = bytes_ / (8 * static_cast<std::size_t>(threads));
  // One thread takes all in one go as long as that fits into its cache.
  const bool one_chunk = threads == 1 && bytes_ <= kLargestChunk;
  cut(one_chunk ? kLargestChunk : std::clamp(share, kSmallestChunk / cost_, kLargestChunk));
  threads_ = static_cast<int>(
      std::clamp(chunks_.size() - 1, std::size_t{1}, static_cast<std::size_t>(threads)));
  if (buffered) {
    buffers_.resize(static_cast<std::size_t>(threads_) * buffers_of_worker_ * buffer_bytes_);
  }
}

void Work::cut(std::size_t chunk_bytes) {
  if (bytes_ <= chunk_bytes) {
    chunks_ = {{0, 0, 0, 0}, {spans_.size(), 0, parts_, units_}};
    return;
  }
  chunks_.reserve(bytes_ / chunk_bytes + 2);
  std::size_t part = 0;
  std::size_t unit = 0;
  std::size_t filled = chunk_bytes;  // so that the first block begins a chunk
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    const Cut of_span(spans_, spans_[i]);
    const std::size_t item = item_size(spans_[i].dtype());
    of_span.for_each(0, of_span.blocks(), [&](std::size_t block, const Cut::Tile& tile) {
      if (filled >= chunk_bytes) {
        chunks_.push_back({i, block, part, unit});
        filled = 0;
      }
      filled += tile.rows * tile.size * item;
    });
    part += of_span.units * of_span.parts;
    unit += of_span.units;
  }
  chunks_.push_back({spans_.size(), 0, part, unit});
}

}  // namespace gradclip
