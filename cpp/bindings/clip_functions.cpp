// clip_by_global_norm_ and clip_by_global_norm.
#include "bindings/arguments.hpp"
#include "bindings/functions.hpp"
#include "bindings/gil.hpp"
#include "bindings/leaves.hpp"
#include "bindings/nonfinite.hpp"
#include "bindings/options.hpp"
#include "core/float_bits.hpp"
#include "core/passes.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

// The arguments of both forms, checked in the order in which they are written.
struct ClipCall {
  explicit ClipCall(const Signature<6>::Bound& bound)
      : grads(bound[0]),
        max_norm(bound[1]),
        order(to_order(bound[2])),
        options(to_clip_options(bound[3], bound[4])),
        nonfinite(to_nonfinite(bound[5])) {}

  PyObject* grads;
  Threshold max_norm;
  Order order;
  ClipOptions options;
  NonFinite nonfinite;
};

Signature<6> clip_signature(const char* function) {
  return {function, {"grads", "max_norm", "ord", "eps", "inv_scale", "nonfinite"}, 2, 2};
}

// The norm pass, the threshold and the scale pass. Returns the norm, an object that is made before
// anything is written.
py::object clip_leaves(const ClipCall& call, const Leaves& leaves) {
  leaves.check_representable(call.options.inv_scale, "inv_scale");
  const Work work(leaves.spans(), call.order.cost());
  Norms norms(work, call.order);
  without_gil(work.effort(), [&] { norms.measure(); });
  const double norm = norms.norm(call.options.inv_scale);
  py::object result = checked(PyFloat_FromDouble(norm));
  ClipPlan plan;
  if (is_finite(norm)) {
    const double max_norm = call.max_norm.at(norm);
    if (call.max_norm.callable()) leaves.check_unchanged("the max_norm function");
    plan = plan_clip(norm, max_norm, call.options, precision(work.contents(), call.order));
  } else {
    if (call.nonfinite == NonFinite::kRaise) refuse_nonfinite(norm, norms, leaves);
    plan = plan_nonfinite(norm, call.nonfinite);
  }
  if (plan.action != ClipPlan::Action::kKeep) leaves.announce_write();
  without_gil(2 * work.bytes(), [&] { write(work, plan); });
  return result;
}

constexpr const char* kClipInPlaceDoc =
    R"(clip_by_global_norm_($module, grads, max_norm, *, ord=2.0, eps=0.0, inv_scale=1.0, nonfinite='raise')
--

Scale arrays in place so that their global norm is at most max_norm.

Every array becomes min(1, max_norm / (norm + eps)) · array, where norm is `global_norm` of them
all. If norm ≤ max_norm, no byte is written. If not, and if ord is 2 and no array has 16 bits, the
exact norm of what is written is never above max_norm, and with eps = 0 below it by 4 machine
epsilons of the coarsest dtype at most. Other norms are as close to max_norm as they are known.
16-bit arrays are multiplied in float32 and rounded to nearest; what is too large becomes inf.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    Arrays and tensors as for `global_norm`, but writeable, and such that no two share memory.
    The version counters of PyTorch's tensors go up if they are written.
max_norm : float or callable
    The threshold, at least 0; inf only measures. A callable is given the norm, if that is finite,
    and returns the threshold. It is called once, before anything is written.
ord : float, default 2.0
    The order of the norm: any positive number, or inf.
eps : float, default 0.0
    Added to the norm in the factor, as other libraries do (PyTorch: 1e-6).
inv_scale : float, default 1.0
    Multiplies the arrays first, in the same pass: 1 / loss_scale undoes loss scaling. The norm,
    the threshold and the result refer to inv_scale · grads, which is written even if unclipped.
nonfinite : {'raise', 'skip', 'zero', 'propagate'}
    What to do when the norm is inf or NaN: raise an error, leave the arrays as they are, fill
    them with zeros, or multiply by max_norm / norm as IEEE arithmetic has it.

Returns
-------
float
    The norm before clipping.

Raises
------
TypeError
    A leaf is no array of a supported dtype, or a tensor that requires grad, as weights do; or an
    argument is no number.
ValueError
    An array is read-only, or cannot say (DLPack before 1.0), is on another device, overlaps itself
    or another one; max_norm is negative or NaN, eps negative or not finite, inv_scale not above 0
    or not finite, in float32 too if an array is of that type or 16 bits.
NonFiniteNormError
    The norm is inf or NaN and nonfinite is 'raise'.
RuntimeError
    A max_norm function changed the shape, dtype, flags or memory of an array, or a tensor of
    PyTorch's inference mode is to be changed outside of it.

Notes
-----
After any exception, one from a callable too, every array is as it was.

Clipping by the global norm is from Pascanu, Mikolov and Bengio, "On the difficulty of training
recurrent neural networks", ICML 2013.

Examples
--------
>>> import numpy as np, gradclip
>>> grads = {"w": np.array([[3.0, 0.0]]), "b": np.array([4.0])}
>>> gradclip.clip_by_global_norm_(grads, max_norm=1.0)
5.0
>>> grads["w"], grads["b"]
(array([[0.6, 0. ]]), array([0.8]))
)";

PyObject* clip_by_global_norm_in_place(PyObject* const* args, Py_ssize_t count,
                                       PyObject* keywords) {
  static const Signature<6> signature = clip_signature("clip_by_global_norm_");
  const ClipCall call(signature.bind(args, count, keywords));
  const Leaves leaves(call.grads, Access::kInPlace);
  return clip_leaves(call, leaves).release().ptr();
}

constexpr const char* kClipFreshDoc =
    R"(clip_by_global_norm($module, grads, max_norm, *, ord=2.0, eps=0.0, inv_scale=1.0, nonfinite='raise')
--

Like `clip_by_global_norm_`, with the result in new arrays.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    NumPy arrays only, as for `global_norm`. None stays None.
max_norm, ord, eps, inv_scale, nonfinite
    As for `clip_by_global_norm_`.

Returns
-------
clipped : array or nesting of arrays
    New arrays, even if nothing is clipped, in the same nesting, container types and dtypes. Axes
    are ordered in memory as they were.
norm : float
    The norm before clipping.

Raises
------
TypeError, ValueError, NonFiniteNormError
    As for `clip_by_global_norm_`. Arrays may share memory and may be read-only.

Examples
--------
>>> import numpy as np, gradclip
>>> gradclip.clip_by_global_norm((np.array([3.0]), np.array([4.0])), 1.0)
((array([0.6]), array([0.8])), 5.0)
)";

PyObject* clip_by_global_norm(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<6> signature = clip_signature("clip_by_global_norm");
  const ClipCall call(signature.bind(args, count, keywords));
  const Leaves leaves(call.grads, Access::kFresh);
  const py::object clipped = leaves.rebuilt(call.grads);
  const py::object norm = clip_leaves(call, leaves);
  return PyTuple_Pack(2, clipped.ptr(), norm.ptr());
}

}  // namespace

PyMethodDef* clip_functions() {
  static PyMethodDef functions[] = {
      method<clip_by_global_norm_in_place>("clip_by_global_norm_", kClipInPlaceDoc),
      method<clip_by_global_norm>("clip_by_global_norm", kClipFreshDoc),
      {}};
  return functions;
}

}  // namespace gradclip
