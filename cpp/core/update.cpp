#include "core/update.hpp"

#include <algorithm>

#include "core/blocks.hpp"
#include "dispatch/dispatch.hpp"

namespace gradclip {
namespace {

// The numbers of a block in another list: in place, or packed into a buffer.
std::byte* numbers_of(const SpanList& spans, std::size_t i, const Block& block,
                      std::byte* buffer) noexcept {
  const Span& span = spans[i];
  if (span.contiguous()) return span.target + block.first * item_size(span.dtype());
  pack(section(spans, block, span), buffer);
  return buffer;
}

// Puts back what was packed.
void put_back(const SpanList& spans, std::size_t i, const Block& block,
              const std::byte* buffer) noexcept {
  if (!spans[i].contiguous()) unpack(section(spans, block, spans[i]), buffer);
}

bool any_strided(const SpanList& spans) {
  return std::ranges::any_of(spans, [](const Span& span) { return !span.contiguous(); });
}

}  // namespace

WorkOptions update_options(const SpanList& parameters, const SpanList& gradients,
                           const SpanList* velocities) {
  const bool strided = any_strided(parameters) || any_strided(gradients) ||
                       (velocities != nullptr && any_strided(*velocities));
  return {.cost = velocities != nullptr ? 5u : 3u, .buffers = strided ? 3u : 0u};
}

void descend(const Work& work, const SpanList& gradients, const SpanList* velocities,
             const DTypeSteps& factor, const Descent& descent) noexcept {
  const KernelTable& table = kernels();
  const SpanList& parameters = work.spans();
  const auto update = [&](const Block& block, std::byte* buffer) {
    const auto i = static_cast<std::size_t>(&block.span - &parameters[0]);
    const DType dtype = block.span.dtype();
    const auto nth_buffer = [&](std::size_t n) {
      return buffer == nullptr ? nullptr : buffer + n * work.buffer_bytes();
    };
    const std::byte* const gradient = numbers_of(gradients, i, block, nth_buffer(0));
    std::byte* const parameter = numbers_of(parameters, i, block, nth_buffer(1));
    std::byte* const velocity =
        velocities != nullptr ? numbers_of(*velocities, i, block, nth_buffer(2)) : nullptr;
    table[dtype].sgd(gradient, parameter, velocity, block.size,
                     {factor[index(dtype)], descent.lr, descent.momentum, descent.weight_decay,
                      descent.nesterov, descent.no_gradient});
    put_back(parameters, i, block, parameter);
    if (velocity != nullptr) put_back(*velocities, i, block, velocity);
  };
  work.for_each_block(Direction::kMirrored, Rounding::kNearest, update);
}

}  // namespace gradclip
