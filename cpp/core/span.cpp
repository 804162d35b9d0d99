#include "core/span.hpp"

#include <algorithm>
#include <cstdlib>

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

std::size_t size_of(const std::vector<Axis>& axes) {
  std::size_t size = 1;
  for (const Axis& axis : axes) size *= axis.extent;
  return size;
}

// Joins each axis with the next faster one where it continues it, in source and target alike.
// Leaves out those along which there is one element only.
void join_contiguous(std::vector<Axis>& axes) {
  std::erase_if(axes, [](const Axis& axis) { return axis.extent == 1; });
  if (axes.empty()) return;
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

// Whether joined axes lead from one item to the next in memory.
bool runs_on(const std::vector<Axis>& axes, std::ptrdiff_t item) {
  if (axes.empty()) return true;
  return axes.size() == 1 && axes[0].source_stride == item && axes[0].target_stride == item;
}

}  // namespace

bool SpanList::same(std::size_t i, const SpanList& other, std::size_t j) const noexcept {
  const Span& a = spans_[i];
  const Span& b = other[j];
  return a.source == b.source && a.target == b.target && a.size == b.size &&
         a.element == b.element && a.ndim == b.ndim &&
         std::equal(axes(a), axes(a) + a.ndim, other.axes(b));
}

std::size_t SpanList::units(const Span& span) const noexcept {
  std::size_t units = 1;
  for (std::size_t i = 0; i < span.unit_ndim; ++i) units *= axes(span)[i].extent;
  return units;
}

std::size_t SpanList::unit_size(const Span& span) const noexcept {
  const std::size_t count = units(span);
  return count == 0 ? 0 : span.size / count;
}

bool SpanList::interleaved(const Span& span) const noexcept {
  if (span.unit_ndim == 0 || span.unit_ndim == span.ndim || span.contiguous()) return false;
  const Axis& of_units = axes(span)[span.unit_ndim - 1];
  const Axis& of_elements = axes(span)[span.ndim - 1];
  return std::abs(of_units.source_stride) < std::abs(of_elements.source_stride);
}

void SpanList::add_strided(const std::byte* source, std::byte* target, std::vector<Axis>& axes,
                           Element element) {
  std::vector<Axis> no_unit_axes;
  add_units(source, target, no_unit_axes, axes, element);
}

void SpanList::add_units(const std::byte* source, std::byte* target, std::vector<Axis>& unit_axes,
                         std::vector<Axis>& axes, Element element) {
  order(axes, source, target);
  add_joined(source, target, unit_axes, axes, element);
}

void SpanList::order(std::vector<Axis>& axes, const std::byte*& source, std::byte*& target) {
  if (size_of(axes) != 0) flip_negative(axes, source, target);
  std::ranges::stable_sort(axes, std::ranges::greater{}, &Axis::source_stride);
}

void SpanList::append(const SpanList& other) {
  in_place_ &= other.in_place_;
  for (Span span : other) {
    span.first_axis += static_cast<std::uint32_t>(axes_.size());
    spans_.push_back(span);
  }
  axes_.insert(axes_.end(), other.axes_.begin(), other.axes_.end());
}

void SpanList::add_ordered(const std::byte* source, std::byte* target, std::vector<Axis>& axes,
                           Element element) {
  std::vector<Axis> no_unit_axes;
  add_joined(source, target, no_unit_axes, axes, element);
}

void SpanList::add_joined(const std::byte* source, std::byte* target, std::vector<Axis>& unit_axes,
                          std::vector<Axis>& axes, Element element) {
  const std::size_t unit_size = size_of(axes);
  const std::size_t count = size_of(unit_axes) * unit_size;
  bool contiguous = count == 0;
  if (!contiguous) {
    join_contiguous(axes);
    join_contiguous(unit_axes);
    const auto item = static_cast<std::ptrdiff_t>(element.bytes());
    contiguous =
        runs_on(axes, item) && runs_on(unit_axes, static_cast<std::ptrdiff_t>(unit_size) * item);
  }
  Span& span = add(source, target, count, element);
  span.unit_ndim = static_cast<std::uint8_t>(unit_axes.size());
  span.first_axis = static_cast<std::uint32_t>(axes_.size());
  axes_.insert(axes_.end(), unit_axes.begin(), unit_axes.end());
  if (contiguous) return;
  span.ndim = static_cast<std::uint8_t>(unit_axes.size() + axes.size());
  axes_.insert(axes_.end(), axes.begin(), axes.end());
}

}  // namespace gradclip
