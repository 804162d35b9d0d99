// Copies between strided arrays and the contiguous buffers that kernels take.
#pragma once

#include "core/span.hpp"

namespace gradclip {

// In one section.
inline constexpr std::size_t kMostUnits = 512;

// Elements [first, first + count) of each of some units of a strided span, in its visiting order;
// a pair is one. In the buffer the elements of a unit lie together, one unit after another.
struct Section {
  const Span& span;
  const Axis* axes;
  std::size_t first;
  std::size_t count;
  const std::size_t* units = nullptr;  // their numbers; null: there is one only
  std::size_t unit_count = 1;          // at most kMostUnits
  std::size_t pitch = 0;               // in the buffer, from a unit to the next one
  bool interleaved = false;            // so that units take turns
};

// Reads a section's source into a buffer.
void pack(const Section& section, std::byte* buffer) noexcept;

// Writes a buffer to a section's target, and nothing between its elements.
void unpack(const Section& section, const std::byte* buffer) noexcept;

}  // namespace gradclip
