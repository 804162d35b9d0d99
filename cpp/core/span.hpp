// The memory of arrays as the core sees it: where elements lie, not who owns them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/arena.hpp"
#include "kernels/table.hpp"

namespace gradclip {

constexpr std::size_t item_size(DType dtype) noexcept {
  switch (dtype) {
    case DType::kFloat16:
    case DType::kBfloat16:
      return 2;
    case DType::kFloat32:
      return sizeof(float);
    case DType::kFloat64:
      return sizeof(double);
  }
  __builtin_unreachable();
}

// What an array holds: numbers of a dtype, or pairs of them, the parts of complex numbers.
struct Element {
  DType dtype;
  bool pair = false;

  std::size_t bytes() const noexcept { return item_size(dtype) * (pair ? 2 : 1); }
  bool operator==(const Element&) const = default;
};

// What some arrays are made of.
struct Contents {
  bool half = false;     // some have 16 bits
  bool widened = false;  // some are narrower than float64
  bool pairs = false;    // some are of pairs

  void add(Element element) noexcept {
    half |= item_size(element.dtype) == 2;
    widened |= element.dtype != DType::kFloat64;
    pairs |= element.pair;
  }
};

// One axis of an array that is not contiguous; strides in bytes, extents in elements.
struct Axis {
  std::size_t extent;
  std::ptrdiff_t source_stride;
  std::ptrdiff_t target_stride;

  bool operator==(const Axis&) const = default;
};

// One array. Elements are read from source and written to target, which are the same memory when
// the work is done in place. Contiguous arrays have no axes; others have theirs in SpanList::axes,
// slowest first.
//
// An array is one unit, or as many of equal size, each of which has a norm of its own: the rows of
// a matrix, say, or its columns.
struct Span {
  const std::byte* source;
  std::byte* target;
  std::size_t size;  // numbers: both parts of a pair count
  Element element;
  std::uint8_t ndim = 0;
  std::uint8_t unit_ndim =
      0;  // of its first axes, which tell units apart: there also if contiguous
  std::uint32_t first_axis = 0;

  bool contiguous() const noexcept { return ndim == 0; }
  DType dtype() const noexcept { return element.dtype; }
  std::size_t bytes() const noexcept { return size * item_size(dtype()); }
};

class SpanList {
 public:
  // Takes its memory from there, which must outlive it, or without one from malloc.
  explicit SpanList(ArenaMemory* memory = nullptr) : spans_(memory), axes_(memory) {}

  void reserve(std::size_t count) { spans_.reserve(count); }
  // An array of so many elements.
  void add_contiguous(const std::byte* source, std::byte* target, std::size_t count,
                      Element element) {
    add(source, target, count, element);
  }
  // Orders the axes by falling |source stride|, flips negative ones and joins those that run on,
  // so that elements are visited in ascending address order, as in the array's transpose. Leaves
  // `axes` changed.
  void add_strided(const std::byte* source, std::byte* target, std::vector<Axis>& axes,
                   Element element);
  // An array of many units. They are visited in the order of unit_axes, slowest first, and the
  // elements of each as those of an array of its own.
  void add_units(const std::byte* source, std::byte* target, std::vector<Axis>& unit_axes,
                 std::vector<Axis>& axes, Element element);
  // An array whose elements are visited in the order of its axes as they are, slowest first.
  void add_ordered(const std::byte* source, std::byte* target, std::vector<Axis>& axes,
                   Element element);

  void append(const SpanList& other);
  // Flips negative axes and puts them in the order in which add_strided visits them.
  static void order(std::vector<Axis>& axes, const std::byte*& source, std::byte*& target);

  // Every target is its source.
  bool in_place() const noexcept { return in_place_; }

  std::size_t size() const noexcept { return spans_.size(); }
  const Span& operator[](std::size_t i) const noexcept { return spans_[i]; }
  // Whether span i is the same as the other list's span j.
  bool same(std::size_t i, const SpanList& other, std::size_t j) const noexcept;
  auto begin() const noexcept { return spans_.begin(); }
  auto end() const noexcept { return spans_.end(); }
  const Axis* axes(const Span& span) const noexcept { return axes_.data() + span.first_axis; }
  std::size_t units(const Span& span) const noexcept;
  std::size_t unit_size(const Span& span) const noexcept;  // in numbers
  // Neighbours in memory belong to different units.
  bool interleaved(const Span& span) const noexcept;

 private:
  // Field by field: a Span that is built and then copied stalls on its own stores.
  Span& add(const std::byte* source, std::byte* target, std::size_t count, Element element) {
    in_place_ &= source == target;
    Span& span = spans_.emplace_back();
    span.source = source;
    span.target = target;
    span.size = element.pair ? 2 * count : count;
    span.element = element;
    return span;
  }

  void add_joined(const std::byte* source, std::byte* target, std::vector<Axis>& unit_axes,
                  std::vector<Axis>& axes, Element element);

  bool in_place_ = true;
  ArenaVector<Span> spans_;
  ArenaVector<Axis> axes_;
};

}  // namespace gradclip
