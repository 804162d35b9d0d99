// clip_by_norm_ and clip_by_norm: each array, row or column by its own norm.
#include "bindings/arguments.hpp"
#include "bindings/functions.hpp"
#include "bindings/gil.hpp"
#include "bindings/leaves.hpp"
#include "bindings/nonfinite.hpp"
#include "bindings/options.hpp"
#include "bindings/units.hpp"
#include "core/float_bits.hpp"
#include "core/passes.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

// The arguments of both forms, checked in the order in which they are written.
struct NormClipCall {
  explicit NormClipCall(const Signature<6>::Bound& bound)
      : grads(bound[0]),
        max_norm(to_max_norm(bound[1], "max_norm")),
        order(to_order(bound[2])),
        axes(to_axes(bound[3])),
        eps(to_clip_options(bound[4], nullptr).eps),
        nonfinite(to_nonfinite(bound[5])) {}

  Reading reading() const noexcept { return {.axes = axes.has_value()}; }

  PyObject* grads;
  double max_norm;
  Order order;
  Axes axes;
  double eps;
  NonFinite nonfinite;
};

Signature<6> norm_clip_signature(const char* function) {
  return {function, {"grads", "max_norm", "ord", "axis", "eps", "nonfinite"}, 2, 2};
}

// The norm pass and the scale pass. Returns the norms, an object that is made before anything is
// written.
py::object clip_units(const NormClipCall& call, const Leaves& leaves) {
  const Units units(leaves, call.axes);
  const Work work(units.spans(), call.order.cost());
  Norms norms(work, call.order);
  std::vector<double> values(work.units());
  without_gil(work.effort(), [&] { norms.measure(); });
  norms.unit_norms(values.data());
  const double max_norms[] = {call.max_norm};
  const UnitPlans plans(values, max_norms, call.order, call.eps, call.nonfinite);
  bool writes = false;
  for (std::size_t unit = 0; unit < values.size(); ++unit) {
    if (!is_finite(values[unit]) && call.nonfinite == NonFinite::kRaise) {
      refuse_nonfinite_unit(values[unit], units.leaf_of(unit), norms, leaves);
    }
    writes |= plans.clips(unit);
  }
  py::object result = units.shaped(values);
  if (!writes && units.spans().in_place()) return result;
  leaves.announce_write();
  without_gil(2 * work.bytes(), [&] { write(work, plans); });
  return result;
}

constexpr const char* kClipByNormInPlaceDoc =
    R"(clip_by_norm_($module, grads, max_norm, *, ord=2.0, axis=None, eps=0.0, nonfinite='raise')
--

Scale each array in place so that its own norm is at most max_norm.

Every array, or every slice of it along `axis`, becomes min(1, max_norm / (norm + eps)) · itself,
where norm is its own. It is as if `clip_by_global_norm_` were called for each of them, bit for bit,
but with one check of all arguments before anything is written.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    As for `clip_by_global_norm_`.
max_norm : float
    The threshold, at least 0; inf only measures.
ord : float, default 2.0
    The order of the norm: any positive number, or inf.
axis : int or tuple of int, optional
    The axes that a norm sums over, as in `numpy.linalg.norm`: of a matrix of shape (rows, columns),
    axis=1 clips each row and axis=0 each column. Negative ones count from the last. By default
    each array has one norm.
eps : float, default 0.0
    Added to each norm in the factor.
nonfinite : {'raise', 'skip', 'zero', 'propagate'}
    What to do with what has a norm of inf or NaN, as for `clip_by_global_norm_`. The others are
    clipped.

Returns
-------
numpy.ndarray or list of numpy.ndarray
    The norms before clipping, float64. Without axis, of shape (n,): one for each of the n arrays,
    in the order of the nesting, as `array_norms` gives them. With axis, an array for each of them,
    of the shape of its other axes.

Raises
------
TypeError, ValueError, RuntimeError
    As for `clip_by_global_norm_`; also ValueError if an array has no such axis.
NonFiniteNormError
    A norm is inf or NaN and nonfinite is 'raise'.

Notes
-----
Per-array clipping is what Keras calls clipnorm, and `tf.clip_by_norm` with axes.

Examples
--------
>>> import numpy as np, gradclip
>>> grads = [np.array([3.0, 4.0]), np.array([0.5])]
>>> gradclip.clip_by_norm_(grads, 2.5)
array([5. , 0.5])
>>> grads
[array([1.5, 2. ]), array([0.5])]
>>> rows = np.array([[3.0, 4.0], [0.0, 1.0]])
>>> gradclip.clip_by_norm_(rows, 1.0, axis=1)
[array([5., 1.])]
>>> rows
array([[0.6, 0.8],
       [0. , 1. ]])
)";

PyObject* clip_by_norm_in_place(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<6> signature = norm_clip_signature("clip_by_norm_");
  const NormClipCall call(signature.bind(args, count, keywords));
  const Leaves leaves(call.grads, Access::kInPlace, call.reading());
  return clip_units(call, leaves).release().ptr();
}

constexpr const char* kClipByNormDoc =
    R"(clip_by_norm($module, grads, max_norm, *, ord=2.0, axis=None, eps=0.0, nonfinite='raise')
--

Like `clip_by_norm_`, with the result in new arrays.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    NumPy arrays only, as for `global_norm`. None stays None.
max_norm, ord, axis, eps, nonfinite
    As for `clip_by_norm_`.

Returns
-------
clipped : array or nesting of arrays
    New arrays, even if nothing is clipped, as of `clip_by_global_norm`.
norms : numpy.ndarray or list of numpy.ndarray
    The norms before clipping, as `clip_by_norm_` returns them.

Raises
------
TypeError, ValueError, NonFiniteNormError
    As for `clip_by_norm_`. Arrays may share memory and may be read-only.

Examples
--------
>>> import numpy as np, gradclip
>>> gradclip.clip_by_norm([np.array([3.0, 4.0]), np.array([0.5])], 2.5)
([array([1.5, 2. ]), array([0.5])], array([5. , 0.5]))
)";

PyObject* clip_by_norm(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<6> signature = norm_clip_signature("clip_by_norm");
  const NormClipCall call(signature.bind(args, count, keywords));
  const Leaves leaves(call.grads, Access::kFresh, call.reading());
  const py::object clipped = leaves.rebuilt(call.grads);
  const py::object norms = clip_units(call, leaves);
  return PyTuple_Pack(2, clipped.ptr(), norms.ptr());
}

}  // namespace

PyMethodDef* unit_functions() {
  static PyMethodDef functions[] = {
      method<clip_by_norm_in_place>("clip_by_norm_", kClipByNormInPlaceDoc),
      method<clip_by_norm>("clip_by_norm", kClipByNormDoc),
      {}};
  return functions;
}

}  // namespace gradclip
