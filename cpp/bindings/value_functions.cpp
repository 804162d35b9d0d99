// clip_by_value_ and clip_by_value: each number by itself.
#include "bindings/arguments.hpp"
#include "bindings/functions.hpp"
#include "bindings/gil.hpp"
#include "bindings/leaves.hpp"
#include "bindings/options.hpp"
#include "bindings/refusals.hpp"
#include "core/float_bits.hpp"
#include "core/values.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

Signature<3> value_clip_signature(const char* function) {
  return {function, {"grads", "low", "high"}};
}

std::array<Bounds, kDTypeCount> bounds_for(const Leaves& leaves, const Bounds& limits) {
  std::array<Bounds, kDTypeCount> result{};
  for (std::size_t i = 0; i < leaves.spans().size(); ++i) {
    const DType dtype = leaves.spans()[i].dtype();
    const auto bounds = bounds_inside(limits.low, limits.high, dtype);
    if (!bounds) refuse_empty_interval(limits.low, limits.high, leaves.path(i));
    result[index(dtype)] = *bounds;
  }
  return result;
}

// Returns the number of elements changed.
std::size_t clip_leaves_by_value(const Bounds& limits, const Leaves& leaves) {
  const auto bounds = bounds_for(leaves, limits);
  const Work work(leaves.spans());
  leaves.announce_write();
  std::size_t changed = 0;
  without_gil(2 * work.bytes(), [&] { changed = clip_values(work, bounds); });
  return changed;
}

constexpr const char* kClipByValueInPlaceDoc = R"(clip_by_value_($module, grads, low, high)
--

Bring every element of arrays into [low, high], in place.

Elements below low become low, those above high become high; NaN stays NaN. Bounds that are no
numbers of an array's dtype are rounded to the next ones inside the interval, so that no result lies
outside of it. Parts of arrays in which nothing is outside are not written.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    As for `clip_by_global_norm_`, but real. The version counters of PyTorch's tensors go up.
low, high : float
    The bounds, low ≤ high; either may be infinite.

Returns
-------
int
    The number of elements that changed.

Raises
------
TypeError, ValueError, RuntimeError
    As for `clip_by_global_norm_`; also TypeError if an array is complex, ValueError if low is above
    high, if either is NaN, or if no number of an array's dtype lies between them.

Examples
--------
>>> import numpy as np, gradclip
>>> grad = np.array([-3.0, 0.25, 7.0])
>>> gradclip.clip_by_value_(grad, -1.0, 1.0)
2
>>> grad
array([-1.  ,  0.25,  1.  ])
)";

PyObject* clip_by_value_in_place(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<3> signature = value_clip_signature("clip_by_value_");
  const auto [grads, low, high] = signature.bind(args, count, keywords);
  const Bounds limits = to_bounds(low, high);
  const Leaves leaves(grads, Access::kInPlace, {.reals_only = true});
  return PyLong_FromSize_t(clip_leaves_by_value(limits, leaves));
}

constexpr const char* kClipByValueDoc = R"(clip_by_value($module, grads, low, high)
--

Like `clip_by_value_`, with the result in new arrays.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    NumPy arrays only, as for `global_norm`, but real. None stays None.
low, high : float
    As for `clip_by_value_`.

Returns
-------
clipped : array or nesting of arrays
    New arrays, as of `clip_by_global_norm`.
changed : int
    The number of elements that differ.

Raises
------
TypeError, ValueError
    As for `clip_by_value_`. Arrays may share memory and may be read-only.

Examples
--------
>>> import numpy as np, gradclip
>>> gradclip.clip_by_value([np.array([-3.0, 0.25])], -1.0, 1.0)
([array([-1.  ,  0.25])], 1)
)";

PyObject* clip_by_value(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<3> signature = value_clip_signature("clip_by_value");
  const auto [grads, low, high] = signature.bind(args, count, keywords);
  const Bounds limits = to_bounds(low, high);
  const Leaves leaves(grads, Access::kFresh, {.reals_only = true});
  const py::object clipped = leaves.rebuilt(grads);
  const py::object changed = checked(PyLong_FromSize_t(clip_leaves_by_value(limits, leaves)));
  return PyTuple_Pack(2, clipped.ptr(), changed.ptr());
}

}  // namespace

PyMethodDef* value_functions() {
  static PyMethodDef functions[] = {
      method<clip_by_value_in_place>("clip_by_value_", kClipByValueInPlaceDoc),
      method<clip_by_value>("clip_by_value", kClipByValueDoc),
      {}};
  return functions;
}

}  // namespace gradclip
