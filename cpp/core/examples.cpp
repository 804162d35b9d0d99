#include "core/examples.hpp"

#include <algorithm>
#include <cstring>

#include "core/blocks.hpp"
#include "core/float_bits.hpp"
#include "core/fp_environment.hpp"
#include "core/partial.hpp"
#include "core/passes.hpp"
#include "core/strided.hpp"
#include "dispatch/dispatch.hpp"

namespace gradclip {
namespace {

// Sums are of groups of so many examples, and then of the groups, both in order, so that they do
// not depend on who computes them. A group's sum is written and read once more: a sixteenth of
// what it takes to read the group.
constexpr std::size_t kGroup = 16;

// Examples of such sizes, in a batch that has to come from memory: while one is written, half of
// the next is fetched. Batches of 100 MB take 5 to 12 % less time (Sapphire Rapids); with examples
// of 40 KB 6 % more, with 1.6 MB 11 %, and if all of the next is fetched, too. Sums gain nothing.
constexpr std::size_t kLeastBytesToFetch = std::size_t{1} << 16;
constexpr std::size_t kMostBytesToFetch = std::size_t{1} << 19;

constexpr DType compute_type(DType dtype) noexcept {
  return dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
}

}  // namespace

Batch::Batch(const SpanList& spans, std::size_t examples) : spans_(spans), examples_(examples) {
  Contents contents;
  for (const Span& span : spans) {
    bytes_ += span.bytes();
    const std::size_t unit_size = spans.unit_size(span);
    parts_ += (unit_size + kBlock - 1) / kBlock;
    sum_offsets_.push_back(sum_bytes_);
    sum_bytes_ += unit_size * item_size(compute_type(span.dtype()));
    strided_ |= !span.contiguous();
    contents.add(span.element);
  }
  precision_ = precision(contents, Order{});
  threads_ = threads_for(bytes_);
  const auto workers = static_cast<std::size_t>(threads_);
  partials_.resize(workers * parts_);
  if (strided_) buffers_.resize(workers * Work::kBufferBytes);
}

std::size_t Batch::groups() const noexcept { return (examples_ + kGroup - 1) / kGroup; }

void Batch::prepare_sums() {
  sums_ = std::make_unique_for_overwrite<std::byte[]>(groups() * sum_bytes_);
}

// Calls visit(example, group, worker) for every example, a group's in order and in one thread.
template <class Visit>
void Batch::for_each_example(std::size_t group_size, Direction direction,
                             const Visit& visit) const noexcept {
  struct Context {
    std::size_t examples;
    std::size_t group_size;
    const Visit& visit;
  };
  const Context context{examples_, group_size, visit};
  const auto body = [](const void* p, std::size_t group, int worker) noexcept {
    const Context& c = *static_cast<const Context*>(p);
    const std::size_t end = std::min((group + 1) * c.group_size, c.examples);
    for (std::size_t i = group * c.group_size; i < end; ++i) c.visit(i, group, worker);
  };
  const std::size_t groups = (examples_ + group_size - 1) / group_size;
  const int threads =
      static_cast<int>(std::clamp(groups, std::size_t{1}, static_cast<std::size_t>(threads_)));
  run({body, &context, groups, threads, direction, bytes_});
}

// Enough for the threads to share, and not so small that taking one costs more than its work.
std::size_t Batch::group_for_norms() const noexcept {
  return std::clamp(examples_ / (8 * static_cast<std::size_t>(threads_)), std::size_t{1}, kGroup);
}

// Calls use(source, target, count, span) for every part of an example, a block at most. What is
// strided is packed into a buffer and, if use() returns true, put back.
template <class Use>
void Batch::for_each_part(std::size_t example, int worker, const Use& use) const noexcept {
  std::byte* const buffer =
      strided_ ? buffers_.data() + static_cast<std::size_t>(worker) * Work::kBufferBytes : nullptr;
  for (const Span& span : spans_) {
    const std::size_t size = spans_.unit_size(span);
    const std::size_t item = item_size(span.dtype());
    for (std::size_t first = 0; first < size; first += kBlock) {
      const std::size_t count = std::min(kBlock, size - first);
      if (span.contiguous()) {
        const std::size_t offset = (example * size + first) * item;
        use(span.source + offset, span.target + offset, count, span);
        continue;
      }
      const std::size_t numbers = span.element.pair ? 2 : 1;
      const Section section{span, spans_.axes(span), first / numbers, count / numbers, &example, 1};
      pack(section, buffer);
      if (use(buffer, buffer, count, span)) unpack(section, buffer);
    }
  }
}

double Batch::norm_of(std::size_t example, int worker) noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  const KernelTable& table = kernels();
  Partial* const partials = partials_.data() + static_cast<std::size_t>(worker) * parts_;
  Partial* next = partials;
  const bool in_caches = fits_in_caches(bytes_, threads_);
  for_each_part(example, worker,
                [&](const std::byte* source, std::byte*, std::size_t count, const Span& span) {
                  const DTypeKernels& of = table[span.dtype()];
                  const bool far = !in_caches && span.contiguous();
                  (span.element.pair ? of.of_pairs : of.of_reals)[index(OrderKind::kTwo)](
                      source, count, 2.0, far ? span.source + span.bytes() : nullptr, next++);
                  return false;
                });
  return scaled_root(merge({partials, parts_}, Order{}), Order{});
}

// What is done with an example, once its norm is known.
ClipPlan Batch::plan(double norm, double max_norm, NonFinite policy) const noexcept {
  if (!is_finite(norm)) return plan_nonfinite(norm, policy);
  return plan_clip(norm, max_norm, {}, precision_);
}

void Batch::measure(std::span<double> norms) noexcept {
  for_each_example(group_for_norms(), Direction::kForward,
                   [&](std::size_t example, std::size_t, int worker) {
                     norms[example] = norm_of(example, worker);
                   });
}

void Batch::clip(double max_norm, NonFinite policy, std::span<double> norms) noexcept {
  for_each_example(group_for_norms(), Direction::kForward,
                   [&](std::size_t example, std::size_t, int worker) {
                     norms[example] = norm_of(example, worker);
                     write(example, worker, plan(norms[example], max_norm, policy));
                   });
}

void Batch::clip_known(double max_norm, NonFinite policy, std::span<const double> norms) noexcept {
  for_each_example(group_for_norms(), Direction::kMirrored,
                   [&](std::size_t example, std::size_t, int worker) {
                     write(example, worker, plan(norms[example], max_norm, policy));
                   });
}

std::size_t Batch::first_nonfinite(std::size_t example) noexcept {
  norm_of(example, 0);
  const Partial* part = partials_.data();
  std::size_t i = 0;
  for (const Span& span : spans_) {
    for (std::size_t first = 0; first < spans_.unit_size(span); first += kBlock, ++part) {
      if (!is_finite(part->hi)) return i;
    }
    ++i;
  }
  return i;
}

// The same part of the next example, if it is to be fetched while this one is written.
const std::byte* Batch::next_of(std::size_t example, const std::byte* source,
                                const Span& span) const noexcept {
  const std::size_t example_bytes = bytes_ / examples_;
  const bool worth = kLeastBytesToFetch <= example_bytes && example_bytes <= kMostBytesToFetch;
  if (!worth || !span.contiguous() || example + 1 == examples_) return nullptr;
  if (fits_in_caches(bytes_, threads_)) return nullptr;
  return source + spans_.unit_size(span) * item_size(span.dtype());
}

void Batch::write(std::size_t example, int worker, const ClipPlan& plan) noexcept {
  if (plan.action == ClipPlan::Action::kKeep) return;
  const FpEnvironment environment(precision_.products);
  for_each_part(
      example, worker,
      [&](const std::byte* source, std::byte* target, std::size_t count, const Span& span) {
        write_numbers(plan, source, target, count, span.dtype(), next_of(example, source, span));
        return true;
      });
}

void Batch::add_up(std::size_t example, int worker, const ClipPlan& plan,
                   std::byte* sums) noexcept {
  if (plan.action == ClipPlan::Action::kFill && is_zero(plan.fill)) return;
  const FpEnvironment environment(Rounding::kNearest);
  const KernelTable& table = kernels();
  for_each_part(example, worker,
                [&](const std::byte* source, std::byte*, std::size_t count, const Span& span) {
                  Steps factor;
                  if (plan.action == ClipPlan::Action::kScale)
                    factor = plan.steps[index(span.dtype())];
                  if (plan.action == ClipPlan::Action::kFill) factor.first = plan.fill;
                  table[span.dtype()].add_scaled(source, sums, count, factor);
                  sums += count * item_size(compute_type(span.dtype()));
                  return false;
                });
}

void Batch::sum(double max_norm, NonFinite policy, const Work& sums,
                std::span<double> norms) noexcept {
  for_each_example(kGroup, Direction::kForward,
                   [&](std::size_t example, std::size_t group, int worker) {
                     std::byte* const sums_of_group = sums_.get() + group * sum_bytes_;
                     if (example == group * kGroup) std::memset(sums_of_group, 0, sum_bytes_);
                     norms[example] = norm_of(example, worker);
                     add_up(example, worker, plan(norms[example], max_norm, policy), sums_of_group);
                   });
  const KernelTable& table = kernels();
  sums.for_each_block(Direction::kForward, Rounding::kNearest,
                      [&](const Block& block, std::byte* buffer) {
                        const Span& span = block.span;
                        const std::size_t offset = block.first * item_size(span.dtype());
                        std::byte* const total = span.contiguous() ? span.target + offset : buffer;
                        std::memset(total, 0, block.size * item_size(span.dtype()));
                        const std::byte* sum = sums_.get() + sum_offsets_[block.unit] + offset;
                        for (std::size_t group = 0; group < groups(); ++group, sum += sum_bytes_) {
                          table[span.dtype()].add_scaled(sum, total, block.size, {});
                        }
                        if (!span.contiguous()) unpack(section(sums.spans(), block, span), buffer);
                      });
}

}  // namespace gradclip
