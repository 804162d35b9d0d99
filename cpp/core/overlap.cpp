#include "core/overlap.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace gradclip {
namespace {

// A term of the question below: coefficient · x for an x in [0, most].
struct Term {
  std::int64_t coefficient;
  std::int64_t most;
};

// Can Σ coefficient·x = target with every x within its bound? This is what "two elements share a
// byte" comes down to: a subset-sum problem, hard in general and easy for real strides, since a
// large coefficient leaves few choices. Depth first, largest coefficient first; gives up with
// true after a bounded number of steps.
class BoundedSum {
 public:
  void add(std::size_t coefficient, std::size_t most) {
    if (coefficient > 0 && most > 0) {
      terms_[count_++] = {static_cast<std::int64_t>(coefficient), static_cast<std::int64_t>(most)};
    }
  }

  bool may_reach(std::int64_t target) {
    std::sort(terms_, terms_ + count_,
              [](const Term& a, const Term& b) { return a.coefficient > b.coefficient; });
    join_equal();
    sums_[count_] = 0;
    for (std::size_t i = count_; i-- > 0;) {
      sums_[i] = sums_[i + 1] + terms_[i].coefficient * terms_[i].most;
    }
    steps_left_ = 10'000;
    return search(0, target);
  }

 private:
  // Two arrays cut from one have strides in common: left apart, these would be tried against each
  // other as often as the arrays are long.
  void join_equal() {
    std::size_t kept = 0;
    for (std::size_t i = 1; i < count_; ++i) {
      if (terms_[i].coefficient == terms_[kept].coefficient) {
        terms_[kept].most += terms_[i].most;
      } else {
        terms_[++kept] = terms_[i];
      }
    }
    count_ = kept + 1;  // there is one at least: an element's bytes, or an axis
  }

  bool search(std::size_t i, std::int64_t target) {
    if (target < 0 || target > sums_[i]) return false;
    if (target == 0 || --steps_left_ < 0) return true;
    const auto [coefficient, most] = terms_[i];  // 0 < target ≤ sum, so there is one
    const std::int64_t rest = std::max<std::int64_t>(target - sums_[i + 1], 0);
    const std::int64_t highest = std::min(most, target / coefficient);
    for (std::int64_t x = (rest + coefficient - 1) / coefficient; x <= highest; ++x) {
      if (search(i + 1, target - x * coefficient)) return true;
    }
    return false;
  }

  // Room for the axes and the bytes of an element of two arrays of NumPy's 64 dimensions.
  static constexpr std::size_t kMostTerms = 2 * (64 + 1);
  Term terms_[kMostTerms];
  std::int64_t sums_[kMostTerms + 1];  // of all terms from i on
  std::size_t count_ = 0;
  int steps_left_ = 0;
};

std::span<const Axis> axes_of(const SpanList& spans, const Span& span) {
  return {spans.axes(span), span.ndim};
}

std::size_t stride(const Axis& axis) { return static_cast<std::size_t>(axis.source_stride); }

// Bytes from the first to the last that the span touches.
std::size_t extent(const SpanList& spans, const Span& span) {
  if (span.contiguous()) return span.bytes();
  std::size_t bytes = span.element.bytes();
  for (const Axis& axis : axes_of(spans, span)) bytes += stride(axis) * (axis.extent - 1);
  return bytes;
}

// Adds the offsets of the span's bytes from its first one.
void add_offsets(BoundedSum& sum, const SpanList& spans, const Span& span) {
  if (span.contiguous()) return sum.add(1, span.bytes() - 1);
  for (const Axis& axis : axes_of(spans, span)) sum.add(stride(axis), axis.extent - 1);
  sum.add(1, span.element.bytes() - 1);
}

// a + x = b + y, for offsets x and y, is x + (last y − y) = b − a + last y.
bool share_a_byte(const SpanList& spans, const Span& a, const Span& b) {
  if (a.contiguous() && b.contiguous()) return true;  // their extents intersect
  BoundedSum sum;
  add_offsets(sum, spans, a);
  add_offsets(sum, spans, b);
  return sum.may_reach(b.source - a.source + static_cast<std::ptrdiff_t>(extent(spans, b)) - 1);
}

struct Extent {
  const std::byte* begin;
  const std::byte* end;
  std::size_t index;
};

// Extents sorted by begin. Arrays are spread over the heap more or less evenly, so that buckets
// of the address range hold about one, and little is left to compare.
std::vector<Extent> sorted_by_address(const std::vector<Extent>& extents, const std::byte* lowest,
                                      const std::byte* highest) {
  const auto range = static_cast<std::size_t>(highest - lowest);
  const int shift = std::max(0, static_cast<int>(std::bit_width(range)) -
                                    static_cast<int>(std::bit_width(extents.size())));
  std::vector<std::uint32_t> ends((range >> shift) + 1);  // of the buckets, once filled
  for (const Extent& one : extents) ++ends[static_cast<std::size_t>(one.begin - lowest) >> shift];
  std::exclusive_scan(ends.begin(), ends.end(), ends.begin(), 0u);
  std::vector<Extent> sorted(extents.size());
  for (const Extent& one : extents) {
    sorted[ends[static_cast<std::size_t>(one.begin - lowest) >> shift]++] = one;
  }
  std::uint32_t first = 0;
  for (const std::uint32_t end : ends) {
    if (end - first > 1) {
      std::ranges::sort(sorted.begin() + first, sorted.begin() + end, {}, &Extent::begin);
    }
    first = end;
  }
  return sorted;
}

}  // namespace

bool overlaps_itself(const SpanList& spans, const Span& span) {
  if (span.contiguous()) return false;
  const auto axes = axes_of(spans, span);
  const std::size_t item = span.element.bytes();
  std::size_t inner = item;  // bytes spanned by the faster axes
  bool nested = true;
  for (std::size_t i = axes.size(); i-- > 0;) {
    nested &= stride(axes[i]) >= inner;
    inner += stride(axes[i]) * (axes[i].extent - 1);
  }
  if (nested) return false;

  // Two elements whose indices differ by d, d > 0 on axis k: Σ stride·d + byte − byte' = 0. Each
  // term is moved up to start from 0.
  for (std::size_t k = 0; k < axes.size(); ++k) {
    BoundedSum sum;
    sum.add(1, 2 * (item - 1));
    std::size_t target = item - 1;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const std::size_t most = axes[i].extent - 1;
      sum.add(stride(axes[i]), i == k ? most - 1 : 2 * most);
      target += i == k ? 0 : stride(axes[i]) * most;
    }
    if (sum.may_reach(static_cast<std::int64_t>(target) - axes[k].source_stride)) return true;
  }
  return false;
}

std::optional<std::pair<std::size_t, std::size_t>> overlapping_pair(const SpanList& spans) {
  if (spans.size() < 2) return std::nullopt;
  std::vector<Extent> extents;
  extents.reserve(spans.size());
  const std::byte* lowest = nullptr;
  const std::byte* highest = nullptr;  // of the begins
  const std::byte* reach = nullptr;
  bool disjoint = true;  // in ascending order, as arrays made one after another often are
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const Span& span = spans[i];
    if (span.size == 0) continue;
    lowest = extents.empty() ? span.source : std::min(lowest, span.source);
    highest = std::max(highest, span.source);
    disjoint &= span.source >= reach;
    Extent& one = extents.emplace_back();
    one.begin = span.source;
    one.end = reach = span.source + extent(spans, span);
    one.index = i;
  }
  if (disjoint) return std::nullopt;

  extents = sorted_by_address(extents, lowest, highest);
  std::optional<std::pair<std::size_t, std::size_t>> lowest_pair;
  for (auto a = extents.begin(); a != extents.end(); ++a) {
    for (auto b = a + 1; b != extents.end() && b->begin < a->end; ++b) {
      const auto pair = std::minmax(a->index, b->index);
      if (lowest_pair && *lowest_pair <= std::pair<std::size_t, std::size_t>(pair)) continue;
      if (share_a_byte(spans, spans[pair.first], spans[pair.second])) lowest_pair = pair;
    }
  }
  return lowest_pair;
}

}  // namespace gradclip
