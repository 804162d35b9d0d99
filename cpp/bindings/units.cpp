#include "bindings/units.hpp"

#include <pybind11/numpy.h>

#include <algorithm>
#include <cstdlib>

#include "bindings/errors.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

// Which of an array's axes are meant.
std::vector<bool> chosen(const std::vector<Py_ssize_t>& axes, std::size_t ndim,
                         const std::string& path) {
  std::vector<bool> result(ndim);
  const auto count = static_cast<Py_ssize_t>(ndim);
  for (const Py_ssize_t axis : axes) {
    if (axis < -count || axis >= count) {
      raise(PyExc_ValueError, "%s has no axis %zd: it has %zu dimension%s", path.c_str(), axis,
            ndim, ndim == 1 ? "" : "s");
    }
    const auto place = static_cast<std::size_t>(axis < 0 ? axis + count : axis);
    if (result[place]) {
      raise(PyExc_ValueError, "axis names axis %zu of %s twice", place, path.c_str());
    }
    result[place] = true;
  }
  return result;
}

// The other axes, slowest first in memory.
template <class IsInside>
std::vector<std::size_t> outside(const std::vector<Axis>& axes, const IsInside& is_inside) {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (!is_inside(i)) result.push_back(i);
  }
  std::ranges::stable_sort(result, std::ranges::greater{},
                           [&](std::size_t i) { return std::abs(axes[i].source_stride); });
  return result;
}

}  // namespace

Units::Units(const Leaves& leaves, const Axes& axes) : leaves_(leaves), by_axes_(axes) {
  for (std::size_t leaf = 0; by_axes_ && leaf < leaves.spans().size(); ++leaf) {
    const std::vector<Axis>& shape = leaves.layout(leaf).axes;
    const std::vector<bool> inside = chosen(*axes, shape.size(), leaves.path(leaf));
    add(leaf, outside(shape, [&](std::size_t axis) { return inside[axis]; }));
  }
}

Units::Units(const Leaves& leaves, const Rule& is_inside) : leaves_(leaves), by_axes_(true) {
  for (std::size_t leaf = 0; leaf < leaves.spans().size(); ++leaf) {
    const std::vector<Axis>& shape = leaves.layout(leaf).axes;
    add(leaf, outside(shape, [&](std::size_t axis) { return is_inside(shape, axis); }));
  }
}

Units::Units(const Leaves& leaves, const Units& like, const std::vector<std::size_t>& partners)
    : leaves_(leaves), by_axes_(true) {
  for (std::size_t i = 0; i < partners.size(); ++i) add(partners[i], like.others_[i]);
}

void Units::add(std::size_t leaf, std::vector<std::size_t> others) {
  const Leaves::Layout& layout = leaves_.layout(leaf);
  std::vector<Axis> element_axes;
  for (std::size_t i = 0; i < layout.axes.size(); ++i) {
    if (std::ranges::find(others, i) == others.end()) element_axes.push_back(layout.axes[i]);
  }
  std::vector<Axis> unit_axes;
  for (const std::size_t i : others) unit_axes.push_back(layout.axes[i]);
  spans_.add_units(layout.source, layout.target, unit_axes, element_axes,
                   leaves_.spans()[leaf].element);
  others_.push_back(std::move(others));
}

std::size_t Units::leaf_of(std::size_t unit) const noexcept {
  std::size_t leaf = 0;
  for (std::size_t units; unit >= (units = spans().units(spans()[leaf])); ++leaf) unit -= units;
  return leaf;
}

py::object Units::shaped(const std::vector<double>& values) const {
  auto array_of = [next = values.data()](const std::vector<std::size_t>& shape) mutable {
    py::array_t<double> array(shape);
    std::copy_n(next, array.size(), array.mutable_data());
    next += array.size();
    return array;
  };
  if (!by_axes_) return array_of({values.size()});
  py::list result;
  for (std::size_t leaf = 0; leaf < others_.size(); ++leaf) {
    const std::vector<std::size_t>& others = others_[leaf];
    std::vector<std::size_t> shape;
    for (const std::size_t axis : others) shape.push_back(leaves_.layout(leaf).axes[axis].extent);
    // In memory as the array's units are; the axes are put in order again.
    py::list order;
    std::vector<std::size_t> in_order = others;
    std::ranges::sort(in_order);
    for (const std::size_t axis : in_order) {
      order.append(std::ranges::find(others, axis) - others.begin());
    }
    result.append(array_of(shape).attr("transpose")(order));
  }
  return result;
}

}  // namespace gradclip
