// Copies between strided arrays and the contiguous buffers that kernels take.
#pragma once

#include "core/span.hpp"

namespace gradclip {

// Elements [first, first + count) of a strided span, in its visiting order; a pair is one.
struct Section {
  const Span& span;
  const Axis* axes;
  std::size_t first;
  std::size_t count;
};

// Reads a section's source into a buffer.
void pack(const Section& section, std::byte* buffer) noexcept;

// Writes a buffer to a section's target, and nothing between its elements.
void unpack(const Section& section, const std::byte* buffer) noexcept;

}  // namespace gradclip
