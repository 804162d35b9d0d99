// clip_with_norm_ and scale_: a scale pass without a norm pass.
#include "bindings/arguments.hpp"
#include "bindings/functions.hpp"
#include "bindings/gil.hpp"
#include "bindings/leaves.hpp"
#include "bindings/options.hpp"
#include "core/float_bits.hpp"
#include "core/passes.hpp"

namespace gradclip {
namespace {

constexpr const char* kClipWithNormDoc =
    R"(clip_with_norm_($module, grads, max_norm, total_norm, *, eps=0.0)
--

Clip in place by a norm that is known already.

Does what `clip_by_global_norm_` does after its norm pass, bit for bit. For the result's norm to
stay within max_norm, total_norm must be what `global_norm` returns for these arrays, or for a
longer list that they are part of.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    As for `clip_by_global_norm_`.
max_norm : float
    The threshold, at least 0.
total_norm : float
    The norm, at least 0.
eps : float, default 0.0
    Added to the norm in the factor.

Returns
-------
float
    The factor, max_norm / (total_norm + eps) rounded down to a float64; 1.0 if nothing was
    clipped.

Raises
------
TypeError, ValueError
    As for `clip_by_global_norm_`; also ValueError if total_norm is negative or NaN.
NonFiniteNormError
    total_norm is inf.

Examples
--------
>>> import numpy as np, gradclip
>>> grads = [np.array([3.0, 4.0])]
>>> gradclip.clip_with_norm_(grads, 2.5, gradclip.global_norm(grads))
0.4999999999999999
)";

PyObject* clip_with_norm_in_place(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<4> signature("clip_with_norm_", {"grads", "max_norm", "total_norm", "eps"},
                                      3, 3);
  const auto [grads, max_norm, total_norm, eps] = signature.bind(args, count, keywords);
  const double threshold = to_max_norm(max_norm, "max_norm");
  const double norm = to_max_norm(total_norm, "total_norm");
  const ClipOptions options = to_clip_options(eps, nullptr);
  if (is_inf(norm)) {
    raise_nonfinite_norm("total_norm is inf, so the gradients cannot be clipped by it", norm, "");
  }
  const Leaves leaves(grads, Access::kInPlace);
  const Work work(leaves.spans());
  const ClipPlan plan = plan_clip(norm, threshold, options, precision(work.contents(), Order{}));
  // Made before anything is written.
  pybind11::object factor = checked(PyFloat_FromDouble(plan.factor));
  if (plan.action != ClipPlan::Action::kKeep) leaves.announce_write();
  without_gil(2 * work.bytes(), [&] { write(work, plan); });
  return factor.release().ptr();
}

constexpr const char* kScaleDoc = R"(scale_($module, grads, factor)
--

Multiply arrays in place.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    As for `clip_by_global_norm_`.
factor : float
    Any finite number. It is rounded to each array's compute type, and so are the products, to
    nearest. That is the array's own type, or float32 for 16-bit arrays, whose products are then
    rounded to 16 bits, to inf if they are too large. 1.0 is written as well.

Raises
------
TypeError, ValueError
    As for `clip_by_global_norm_`; also ValueError if factor is not finite, or not in float32
    while an array is of that type or 16 bits.

Examples
--------
>>> import numpy as np, gradclip
>>> grad = np.array([3.0, 4.0])
>>> gradclip.scale_(grad, 0.5)
>>> grad
array([1.5, 2. ])
)";

PyObject* scale_in_place(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<2> signature("scale_", {"grads", "factor"});
  const auto [grads, factor] = signature.bind(args, count, keywords);
  const double value = to_factor(factor);
  const Leaves leaves(grads, Access::kInPlace);
  leaves.check_representable(value, "factor");
  const Work work(leaves.spans());
  leaves.announce_write();
  without_gil(2 * work.bytes(), [&] { scale(work, one_step(value), Rounding::kNearest); });
  Py_RETURN_NONE;
}

}  // namespace

PyMethodDef* scale_functions() {
  static PyMethodDef functions[] = {
      method<clip_with_norm_in_place>("clip_with_norm_", kClipWithNormDoc),
      method<scale_in_place>("scale_", kScaleDoc),
      {}};
  return functions;
}

}  // namespace gradclip
