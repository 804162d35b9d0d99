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
    sums_[count_] = divisors_[count_] = 0;
    for (std::size_t i = count_; i-- > 0;) {
      sums_[i] = sums_[i + 1] + terms_[i].coefficient * terms_[i].most;
      divisors_[i] = std::gcd(divisors_[i + 1], terms_[i].coefficient);
    }
    steps_left_ = 10'000;
    return search(0, target);
  }

 private:
  bool search(std::size_t i, std::int64_t target) {
    if (target < 0 || target > sums_[i]) return false;
    if (target == 0 || --steps_left_ < 0) return true;
    if (target % divisors_[i] != 0) return false;  // 0 < target ≤ sum, so there is a term
    const auto [coefficient, most] = terms_[i];
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
  std::int64_t sums_[kMostTerms + 1];      // of all terms from i on
  std::int64_t divisors_[kMostTerms + 1];  // common to all coefficients from i on
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
  std::size_t bytes = item_size(span.dtype);
  for (const Axis& axis : axes_of(spans, span)) bytes += stride(axis) * (axis.extent - 1);
  return bytes;
}

// Adds the offsets of the span's bytes from its first one.
void add_offsets(BoundedSum& sum, const SpanList& spans, const Span& span) {
  if (span.contiguous()) return sum.add(1, span.bytes() - 1);
  for (const Axis& axis : axes_of(spans, span)) sum.add(stride(axis), axis.extent - 1);
  sum.add(1, item_size(span.dtype) - 1);
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

// Sorts by begin. Arrays are spread over the heap more or less evenly, so that buckets of the
// address range hold one or two: 1,000 of them take 4 µs, and 8 to 31 µs with std::sort.
void sort_by_address(std::vector<Extent>& extents) {
  const auto [low, high] = std::ranges::minmax(extents, {}, &Extent::begin);
  const std::byte* const lowest = low.begin;
  const auto range = static_cast<std::size_t>(high.begin - lowest);
  const int shift = std::max(0, static_cast<int>(std::bit_width(range)) -
                                    static_cast<int>(std::bit_width(extents.size())));
  const auto bucket = [&](const Extent& extent) {
    return static_cast<std::size_t>(extent.begin - lowest) >> shift;
  };
  std::vector<std::size_t> starts((range >> shift) + 2);
  for (const Extent& extent : extents) ++starts[bucket(extent) + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  std::vector<Extent> sorted(extents.size());
  std::vector<std::size_t> next(starts);
  for (const Extent& extent : extents) sorted[next[bucket(extent)]++] = extent;
  for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
    const auto first = sorted.begin() + static_cast<std::ptrdiff_t>(starts[i]);
    const auto last = sorted.begin() + static_cast<std::ptrdiff_t>(starts[i + 1]);
    if (last - first > 1) std::ranges::sort(first, last, {}, &Extent::begin);
  }
  extents.swap(sorted);
}

}  // namespace

bool overlaps_itself(const SpanList& spans, const Span& span) {
  if (span.contiguous()) return false;
  const auto axes = axes_of(spans, span);
  const std::size_t item = item_size(span.dtype);
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
  std::vector<Extent> extents;
  extents.reserve(spans.size());
  const std::byte* reach = nullptr;
  bool disjoint = true;  // in ascending order, as arrays made one after another often are
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const Span& span = spans[i];
    if (span.size == 0) continue;
    const Extent one{span.source, span.source + extent(spans, span), i};
    disjoint &= one.begin >= reach;
    reach = one.end;
    extents.push_back(one);
  }
  if (disjoint) return std::nullopt;

  sort_by_address(extents);
  std::optional<std::pair<std::size_t, std::size_t>> lowest;
  for (auto a = extents.begin(); a != extents.end(); ++a) {
    for (auto b = a + 1; b != extents.end() && b->begin < a->end; ++b) {
      const auto pair = std::minmax(a->index, b->index);
      if (lowest && *lowest <= std::pair<std::size_t, std::size_t>(pair)) continue;
      if (share_a_byte(spans, spans[pair.first], spans[pair.second])) lowest = pair;
    }
  }
  return lowest;
}

}  // namespace gradclip
