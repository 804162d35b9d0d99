// The parts of arrays that have norms of their own: whole arrays, rows, columns, examples.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <functional>
#include <vector>

#include "bindings/leaves.hpp"
#include "bindings/options.hpp"

namespace gradclip {

// Of each leaf: one unit, or one for every place along some of its axes. The leaves must outlive
// it, and have been read with Reading::axes if axes matter.
class Units {
 public:
  // Whole arrays, or one unit for every place along the other axes than these; ValueError if a leaf
  // has no such axis.
  Units(const Leaves& leaves, const Axes& axes);
  // For those axes of an array of that shape for which is_inside() is false.
  using Rule = std::function<bool(const std::vector<Axis>& shape, std::size_t axis)>;
  Units(const Leaves& leaves, const Rule& is_inside);
  // For each leaf of another list's units, those of its partner in this one, of the same shape, in
  // the same order.
  Units(const Leaves& leaves, const Units& like, const std::vector<std::size_t>& partners);

  // The leaves' spans, cut into units.
  const SpanList& spans() const noexcept { return by_axes_ ? spans_ : leaves_.spans(); }

  // The leaf that a unit is part of.
  std::size_t leaf_of(std::size_t unit) const noexcept;

  // A value for each unit: a float64 array, or if axes were given a list of them, one for each
  // leaf, of the shape of its other axes.
  pybind11::object shaped(const std::vector<double>& values) const;

 private:
  // The axes along which units lie, slowest first in memory.
  void add(std::size_t leaf, std::vector<std::size_t> others);

  const Leaves& leaves_;
  bool by_axes_;
  SpanList spans_;
  std::vector<std::vector<std::size_t>> others_;  // each leaf's other axes, slowest first
};

}  // namespace gradclip
