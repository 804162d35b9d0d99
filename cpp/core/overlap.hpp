// Whether arrays share memory. Written twice, a byte would be scaled twice.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include "core/span.hpp"

namespace gradclip {

// Two elements of the span share a byte, or that could not be decided within a bounded effort.
bool overlaps_itself(const SpanList& spans, const Span& span);

// The lowest pair (i, j), i < j, of spans that share a byte, or for which that could not be
// decided within a bounded effort. Interleaved spans that share none are no such pair.
std::optional<std::pair<std::size_t, std::size_t>> overlapping_pair(const SpanList& spans);

}  // namespace gradclip
