#include "core/stats.hpp"

#include "core/blocks.hpp"
#include "core/fp_environment.hpp"
#include "dispatch/dispatch.hpp"

namespace gradclip {
namespace {

constexpr Order kTwo = {OrderKind::kTwo, 2.0};
constexpr Order kMax = {OrderKind::kMax, 2.0};

double norm_of(std::span<const Partial> parts, Order order) noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  return scaled_root(merge(parts, order), order);
}

}  // namespace

Stats::Stats(const Work& work)
    : work_(work), squares_(work.parts()), largest_(work.parts()), counts_(work.parts()) {}

// Three kernels, one after the other, on a block that the first one brings into the cache.
void Stats::measure() noexcept {
  const KernelTable& table = kernels();
  work_.for_each_block(
      Direction::kForward, Rounding::kNearest, [&](const Block& block, std::byte* buffer) {
        const DTypeKernels& of = table[block.span.dtype()];
        const bool pair = block.span.element.pair;
        const NormKernel* const norms = pair ? of.of_pairs : of.of_reals;
        const auto [numbers, stride, end] = read(work_, block, buffer);
        norms[index(OrderKind::kTwo)](numbers, block.size, 2.0, end, &squares_[block.part]);
        norms[index(OrderKind::kMax)](numbers, block.size, 2.0, nullptr, &largest_[block.part]);
        (pair ? of.count_pairs : of.count_reals)(numbers, block.size, &counts_[block.part]);
      });
}

double Stats::norm() const noexcept { return norm_of(squares_, kTwo); }

double Stats::max_abs() const noexcept { return norm_of(largest_, kMax); }

Counts Stats::counts() const noexcept {
  Counts sum;
  for (const Counts& block : counts_) {
    sum.zeros += block.zeros;
    sum.nans += block.nans;
    sum.infs += block.infs;
  }
  return sum;
}

void Stats::array_norms(double* norms) const noexcept {
  std::span<const Partial> rest(squares_);
  for (const Span& span : work_.spans()) {
    const std::size_t parts = Cut(work_.spans(), span).parts;
    *norms++ = norm_of(rest.first(parts), kTwo);
    rest = rest.subspan(parts);
  }
}

std::size_t Stats::first_nonfinite() const noexcept {
  auto block = counts_.begin();
  for (std::size_t i = 0; i < work_.spans().size(); ++i) {
    for (std::size_t part = 0; part < Cut(work_.spans(), work_.spans()[i]).parts; ++part, ++block) {
      if (block->nans + block->infs > 0) return i;
    }
  }
  return work_.spans().size();
}

}  // namespace gradclip
