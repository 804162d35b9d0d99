#include "core/span.hpp"

#include <algorithm>

namespace gradclip {
namespace {

void flip_negative(std::vector<Axis>& axes, const std::byte*& source, std::byte*& target) {
  for (Axis& axis : axes) {
    if (axis.source_stride >= 0) continue;
    const auto last = static_cast<std::ptrdiff_t>(axis.extent) - 1;
    source += last * axis.source_stride;
    target += last * axis.target_stride;
    axis.source_stride = -axis.source_stride;
    axis.target_stride = -axis.target_stride;
  }
}

// Joins each axis with the next faster one where it continues it, in source and target alike.
void join_contiguous(std::vector<Axis>& axes) {
  std::size_t kept = 0;
  for (std::size_t i = 1; i < axes.size(); ++i) {
    const auto extent = static_cast<std::ptrdiff_t>(axes[i].extent);
    if (axes[kept].source_stride == extent * axes[i].source_stride &&
        axes[kept].target_stride == extent * axes[i].target_stride) {
      axes[i].extent *= axes[kept].extent;
      axes[kept] = axes[i];
    } else {
      axes[++kept] = axes[i];
    }
  }
  axes.resize(kept + 1);
}

}  // namespace

bool SpanList::same(std::size_t i, const SpanList& other, std::size_t j) const noexcept {
  const Span& a = spans_[i];
  const Span& b = other[j];
  return a.source == b.source && a.target == b.target && a.size == b.size &&
         a.element == b.element && a.ndim == b.ndim &&
         std::equal(axes(a), axes(a) + a.ndim, other.axes(b));
}

void SpanList::add_strided(const std::byte* source, std::byte* target, std::vector<Axis>& axes,
                           Element element) {
  std::size_t count = 1;
  for (const Axis& axis : axes) count *= axis.extent;
  std::erase_if(axes, [](const Axis& axis) { return axis.extent == 1; });
  if (count == 0 || axes.empty()) return add_contiguous(source, target, count, element);

  flip_negative(axes, source, target);
  std::ranges::stable_sort(axes, std::ranges::greater{}, &Axis::source_stride);
  join_contiguous(axes);
  const auto item = static_cast<std::ptrdiff_t>(element.bytes());
  if (axes.size() == 1 && axes[0].source_stride == item && axes[0].target_stride == item) {
    return add_contiguous(source, target, count, element);
  }
  Span& span = add(source, target, count, element);
  span.ndim = static_cast<std::uint8_t>(axes.size());
  span.first_axis = static_cast<std::uint32_t>(axes_.size());
  axes_.insert(axes_.end(), axes.begin(), axes.end());
}

}  // namespace gradclip
