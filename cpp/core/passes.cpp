#include "core/passes.hpp"

#include <cmath>
#include <cstring>

#include "core/fp_environment.hpp"
#include "core/strided.hpp"
#include "dispatch/dispatch.hpp"

namespace gradclip {
namespace {

Section section(const Work& work, const Block& block) noexcept {
  const std::size_t numbers = block.span.element.pair ? 2 : 1;
  return {block.span, work.spans().axes(block.span), block.first / numbers, block.size / numbers};
}

template <class T>
void fill_as(std::byte* target, std::size_t count, T item) noexcept {
  for (; count > 0; --count, target += sizeof item) std::memcpy(target, &item, sizeof item);
}

// 0 or NaN.
void fill_items(std::byte* target, std::size_t count, DType dtype, double value) noexcept {
  constexpr std::uint16_t kFloat16NaN = 0x7e00, kBfloat16NaN = 0x7fc0;
  switch (dtype) {
    case DType::kFloat16:
      return fill_as<std::uint16_t>(target, count, std::isnan(value) ? kFloat16NaN : 0);
    case DType::kBfloat16:
      return fill_as<std::uint16_t>(target, count, std::isnan(value) ? kBfloat16NaN : 0);
    case DType::kFloat32:
      return fill_as(target, count, static_cast<float>(value));
    case DType::kFloat64:
      return fill_as(target, count, value);
  }
}

// A pass that gives every block's target a new value: write(source, target, count, dtype).
template <class Write>
void write_blocks(const Work& work, Rounding rounding, const Write& write) noexcept {
  work.for_each_block(Direction::kMirrored, rounding, [&](const Block& block, std::byte* buffer) {
    const Span& span = block.span;
    if (span.contiguous()) {
      const std::size_t offset = block.first * item_size(span.dtype());
      write(span.source + offset, span.target + offset, block.size, span.dtype());
    } else {
      pack(section(work, block), buffer);
      write(buffer, buffer, block.size, span.dtype());
      unpack(section(work, block), buffer);
    }
  });
}

}  // namespace

Norms::Norms(const Work& work, Order order)
    : work_(work), order_(order), blocks_(work.blocks(), &arena_) {}

void Norms::measure() noexcept {
  const KernelTable& table = kernels();
  const std::size_t kind = index(order_.kind);
  const auto measure_block = [&](const Block& block, std::byte* buffer) {
    const Span& span = block.span;
    const std::byte* data = buffer;
    if (span.contiguous()) {
      data = span.source + block.first * item_size(span.dtype());
    } else {
      pack(section(work_, block), buffer);
    }
    const DTypeKernels& of = table[span.dtype()];
    const NormKernel kernel = span.element.pair ? of.of_pairs[kind] : of.of_reals[kind];
    kernel(data, block.size, order_.p, &blocks_[block.index]);
  };
  work_.for_each_block(Direction::kForward, Rounding::kNearest, measure_block);
}

double Norms::norm(double scale) const noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  return scaled_root(merge(blocks_, order_), order_, scale);
}

template <class Visit>
void Norms::for_each_span(const Visit& visit) const noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  std::span<const Partial> rest(blocks_);
  for (std::size_t i = 0; i < work_.spans().size(); ++i) {
    const std::size_t count = Work::blocks_of(work_.spans()[i]);
    if (!visit(i, merge(rest.first(count), order_))) return;
    rest = rest.subspan(count);
  }
}

void Norms::array_norms(double* norms) const noexcept {
  for_each_span([&](std::size_t i, const Partial& sum) {
    norms[i] = scaled_root(sum, order_);
    return true;
  });
}

std::size_t Norms::first_nonfinite() const noexcept {
  std::size_t first = work_.spans().size();
  for_each_span([&](std::size_t i, const Partial& sum) {
    if (!std::isfinite(sum.hi)) first = i;
    return first == work_.spans().size();
  });
  return first;
}

void copy(const Work& work) noexcept {
  if (work.spans().in_place()) return;
  write_blocks(work, Rounding::kNearest,
               [](const std::byte* source, std::byte* target, std::size_t count, DType dtype) {
                 std::memmove(target, source, count * item_size(dtype));
               });
}

void fill(const Work& work, double value) noexcept {
  const auto fill_block = [&](const Block& block, std::byte* buffer) {
    const Span& span = block.span;
    if (span.contiguous()) {
      fill_items(span.target + block.first * item_size(span.dtype()), block.size, span.dtype(),
                 value);
    } else {
      fill_items(buffer, block.size, span.dtype(), value);
      unpack(section(work, block), buffer);
    }
  };
  work.for_each_block(Direction::kMirrored, Rounding::kNearest, fill_block);
}

void scale(const Work& work, const DTypeSteps& factor, Rounding rounding) noexcept {
  const KernelTable& table = kernels();
  write_blocks(work, rounding,
               [&](const std::byte* source, std::byte* target, std::size_t count, DType dtype) {
                 table[dtype].scale(source, target, count, factor[index(dtype)]);
               });
}

void clamp(const Work& work, double low, double high) noexcept {
  const KernelTable& table = kernels();
  write_blocks(work, Rounding::kNearest,
               [&](const std::byte* source, std::byte* target, std::size_t count, DType dtype) {
                 table[dtype].clamp(source, target, count, low, high);
               });
}

}  // namespace gradclip
