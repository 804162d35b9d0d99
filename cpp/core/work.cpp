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

int threads_worth_using(std::size_t bytes) {
  const auto most = static_cast<std::size_t>(get_num_threads());
  return static_cast<int>(std::clamp(bytes / kLeastBytesPerThread, std::size_t{1}, most));
}

}  // namespace

Work::Work(const SpanList& spans, std::size_t cost) : spans_(spans), cost_(cost) {
  bool strided = false;
  for (const Span& span : spans) {
    blocks_ += blocks_of(span);
    bytes_ += span.bytes();
    half_ |= item_size(span.dtype()) == 2;
    widened_ |= span.dtype() != DType::kFloat64;
    pairs_ |= span.element.pair;
    strided |= !span.contiguous();
  }
  const int threads = threads_worth_using(effort());
  const std::size_t share = bytes_ / (8 * static_cast<std::size_t>(threads));
  // One thread takes all in one go as long as that fits into its cache.
  const bool one_chunk = threads == 1 && bytes_ <= kLargestChunk;
  cut(one_chunk ? kLargestChunk : std::clamp(share, kSmallestChunk / cost_, kLargestChunk));
  threads_ = static_cast<int>(
      std::clamp(chunks_.size() - 1, std::size_t{1}, static_cast<std::size_t>(threads)));
  if (strided) buffers_.resize(static_cast<std::size_t>(threads_) * kBufferBytes);
}

void Work::cut(std::size_t chunk_bytes) {
  if (bytes_ <= chunk_bytes) {
    chunks_ = {{0, 0, 0}, {spans_.size(), 0, blocks_}};
    return;
  }
  chunks_.reserve(bytes_ / chunk_bytes + 2);
  std::size_t index = 0;
  std::size_t filled = chunk_bytes;  // so that the first block begins a chunk
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    const std::size_t bytes = spans_[i].bytes();
    const std::size_t block_bytes = kBlock * item_size(spans_[i].dtype());
    for (std::size_t first = 0; first < bytes; first += block_bytes, ++index) {
      if (filled >= chunk_bytes) {
        chunks_.push_back({i, first / block_bytes, index});
        filled = 0;
      }
      filled += std::min(block_bytes, bytes - first);
    }
  }
  chunks_.push_back({spans_.size(), 0, index});
}

}  // namespace gradclip
