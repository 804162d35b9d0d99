// Clipping a batch example by example: an example is one unit of each array, and has one norm.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/clip.hpp"
#include "core/partial.hpp"
#include "core/work.hpp"

namespace gradclip {

// A batch, and all the memory that passes over it need. An example is looked at as a whole, and
// again while it is in the cache, so that the batch crosses memory once.
class Batch {
 public:
  // Every span has as many units as there are examples.
  Batch(const SpanList& spans, std::size_t examples);

  std::size_t bytes() const noexcept { return bytes_; }

  // Each of these fills `norms`, which has room for all examples.
  void measure(std::span<double> norms) noexcept;
  // In place; kRaise leaves an example as it is, as kSkip does.
  void clip(double max_norm, NonFinite policy, std::span<double> norms) noexcept;
  // By norms that are known: a second pass.
  void clip_known(double max_norm, NonFinite policy, std::span<const double> norms) noexcept;
  // The first span in which an example holds an infinity or NaN, or the number of spans.
  std::size_t first_nonfinite(std::size_t example) noexcept;
  // Adds up what clip would write, after prepare_sums(). Span i of `sums` has the elements of an
  // example of span i of the batch, in the same order, of the compute type.
  void sum(double max_norm, NonFinite policy, const Work& sums, std::span<double> norms) noexcept;

  void prepare_sums();  // obtains more memory

 private:
  template <class Visit>
  void for_each_example(std::size_t group_size, Direction direction,
                        const Visit& visit) const noexcept;
  template <class Use>
  void for_each_part(std::size_t example, int worker, const Use& use) const noexcept;
  std::size_t groups() const noexcept;
  std::size_t group_for_norms() const noexcept;
  double norm_of(std::size_t example, int worker) noexcept;
  ClipPlan plan(double norm, double max_norm, NonFinite policy) const noexcept;
  const std::byte* next_of(std::size_t example, const std::byte* source,
                           const Span& span) const noexcept;
  void write(std::size_t example, int worker, const ClipPlan& plan) noexcept;
  void add_up(std::size_t example, int worker, const ClipPlan& plan, std::byte* sums) noexcept;

  const SpanList& spans_;
  std::size_t examples_;
  std::size_t bytes_ = 0;
  std::size_t parts_ = 0;                 // of an example
  std::size_t sum_bytes_ = 0;             // of an example
  std::vector<std::size_t> sum_offsets_;  // of each span's part of that
  bool strided_ = false;
  int threads_;
  Precision precision_;
  std::vector<Partial> partials_;           // of an example, for each worker
  mutable std::vector<std::byte> buffers_;  // of a block, for each worker
  std::unique_ptr<std::byte[]> sums_;       // of each group
};

}  // namespace gradclip
