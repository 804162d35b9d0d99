// A list of spans cut up for passes over it: blocks for the numerics, chunks for the threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "core/arena.hpp"
#include "core/fp_environment.hpp"
#include "core/pool.hpp"
#include "core/span.hpp"

namespace gradclip {

// A block of at most kBlock numbers, whole pairs of them. Blocks are counted from each span's
// start, and `index` over all spans.
struct Block {
  const Span& span;
  std::size_t first;
  std::size_t size;
  std::size_t index;
};

// Cuts a list of spans into chunks of about 1 MiB of whole blocks, on as many threads as that
// pays for, and owns all the memory that passes over it need. Refers to the spans it is given.
class Work {
 public:
  // `cost`: how many times as long as reading them a pass over the spans takes.
  explicit Work(const SpanList& spans, std::size_t cost = 1);

  const SpanList& spans() const noexcept { return spans_; }
  std::size_t blocks() const noexcept { return blocks_; }
  std::size_t bytes() const noexcept { return bytes_; }
  // In terms of bytes that are only read.
  std::size_t effort() const noexcept { return bytes_ * cost_; }
  // Some span is of 16 bits; some is narrower than float64; some is of pairs.
  bool half() const noexcept { return half_; }
  bool widened() const noexcept { return widened_; }
  bool pairs() const noexcept { return pairs_; }
  static std::size_t blocks_of(const Span& span) noexcept {
    return (span.size + kBlock - 1) / kBlock;
  }

  // Calls visit(block, buffer) for every block, a chunk's blocks in order and in one thread, in
  // the floating-point environment asked for. `buffer` holds a block and is the worker's own; it
  // is null if all spans are contiguous.
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
    std::size_t index;  // over all spans
  };

  template <class Visit>
  void visit_chunk(std::size_t chunk, const Visit& visit, std::byte* buffer) const {
    auto [span, block, index] = chunks_[chunk];
    for (const std::size_t end = chunks_[chunk + 1].index; index < end; ++span, block = 0) {
      const Span& current = spans_[span];
      for (std::size_t first = block * kBlock; first < current.size && index < end;
           first += kBlock, ++index) {
        visit(Block{current, first, std::min(kBlock, current.size - first), index}, buffer);
      }
    }
  }

  std::byte* buffer(int worker) const noexcept {
    if (buffers_.empty()) return nullptr;
    return buffers_.data() + static_cast<std::size_t>(worker) * kBufferBytes;
  }

  void cut(std::size_t chunk_bytes);

  static constexpr std::size_t kBufferBytes = kBlock * sizeof(double);

  const SpanList& spans_;
  std::size_t blocks_ = 0;
  std::size_t bytes_ = 0;
  std::size_t cost_;
  bool half_ = false;
  bool widened_ = false;
  bool pairs_ = false;
  int threads_ = 1;
  Arena<128> arena_;
  ArenaVector<Start> chunks_{&arena_};  // one more than there are: the end
  mutable std::vector<std::byte> buffers_;
};

}  // namespace gradclip
