// sgd_step_ and adaptive_grad_clip_: what parameters and their gradients do to each other.
#include <algorithm>
#include <cmath>
#include <optional>

#include "bindings/arguments.hpp"
#include "bindings/functions.hpp"
#include "bindings/gil.hpp"
#include "bindings/leaves.hpp"
#include "bindings/lists.hpp"
#include "bindings/nonfinite.hpp"
#include "bindings/options.hpp"
#include "bindings/units.hpp"
#include "core/float_bits.hpp"
#include "core/passes.hpp"
#include "core/update.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

struct SgdCall {
  explicit SgdCall(const Signature<10>::Bound& bound)
      : params(bound[0]), grads(bound[1]), velocity(bound[6] == Py_None ? nullptr : bound[6]) {
    descent.lr = to_rate(bound[2], "lr");
    if (bound[3] != nullptr && bound[3] != Py_None) max_norm.emplace(bound[3]);
    if (bound[4] != nullptr) descent.momentum = to_rate(bound[4], "momentum");
    if (bound[5] != nullptr) descent.nesterov = is_true(bound[5]);
    if (bound[7] != nullptr) descent.weight_decay = to_rate(bound[7], "weight_decay");
    inv_scale = to_clip_options(nullptr, bound[8]).inv_scale;
    nonfinite = to_nonfinite(bound[9]);
    const bool moving = !is_zero(descent.momentum);
    if (descent.nesterov && !moving) {
      raise(PyExc_ValueError, "nesterov=True needs momentum above 0");
    }
    if (moving && velocity == nullptr) {
      raise(PyExc_ValueError,
            "momentum needs velocity=, arrays like params that are zeros before the first step and "
            "are passed again at each step");
    }
    if (!moving) velocity = nullptr;  // has no effect
  }

  PyObject* params;
  PyObject* grads;
  PyObject* velocity;
  Descent descent{};
  std::optional<Threshold> max_norm;
  double inv_scale;
  NonFinite nonfinite;
};

// What the step takes for the gradient: the factor, or none at all.
void apply_plan(const ClipPlan& plan, DTypeSteps& factor, Descent& descent) {
  switch (plan.action) {
    case ClipPlan::Action::kKeep:
      break;
    case ClipPlan::Action::kScale:
      factor = plan.steps;
      break;
    case ClipPlan::Action::kFill:
      descent.no_gradient = is_zero(plan.fill);
      factor = one_step(plan.fill);
      break;
  }
}

constexpr const char* kSgdStepDoc =
    R"(sgd_step_($module, params, grads, lr, *, max_norm=None, momentum=0.0, nesterov=False, velocity=None, weight_decay=0.0, inv_scale=1.0, nonfinite='raise')
--

Update parameters in place by a step of SGD with clipped gradients.

With norm the `global_norm` of the gradients, for each array::

    d = min(1, max_norm / norm) · inv_scale · grad + weight_decay · param
    velocity = momentum · velocity + d         where there is momentum
    param = param − lr · d                     or velocity in place of d, or with Nesterov's
                                               momentum d + momentum · velocity

After the pass for the norm this is a single pass; gradients are read and never written.

Parameters
----------
params : array or nesting of list, tuple and dict of arrays
    What is changed: arrays and tensors as for `clip_by_global_norm_`, but tensors may require
    grad.
grads : array or nesting of list, tuple and dict of arrays
    The gradients, in the same nesting, of the same shapes and dtypes. Where one is None, the
    parameter is left as it is.
lr : float
    The learning rate, at least 0.
max_norm : float or callable, optional
    The threshold, as for `clip_by_global_norm_`. By default nothing is clipped.
momentum : float, default 0.0
    How much of the velocity stays from one step to the next, at least 0.
nesterov : bool, default False
    Nesterov's momentum.
velocity : array or nesting of list, tuple and dict of arrays, optional
    Needed if there is momentum, and without effect otherwise: arrays like params, zeros before the
    first step, which are changed and to be passed at the next one.
weight_decay : float, default 0.0
    How much of the parameters is added to the clipped gradients, at least 0.
inv_scale : float, default 1.0
    Multiplies the gradients first, as for `clip_by_global_norm_`.
nonfinite : {'raise', 'skip', 'zero', 'propagate'}
    What to do when the norm is inf or NaN: raise an error, leave parameters and velocity as they
    are, take the gradients for zeros, or go on as IEEE arithmetic has it.

Returns
-------
float
    The norm before clipping.

Raises
------
TypeError, ValueError, RuntimeError, NonFiniteNormError
    As for `clip_by_global_norm_`; also if params, grads and velocity differ in nesting, shape or
    dtype, if any two of their arrays share memory, or if momentum has no velocity. After any
    exception every array is as it was.

Notes
-----
Momentum is as `torch.optim.SGD` defines it, without dampening. Each product is rounded once,
together with the sum it is added to; 16-bit arrays are computed in float32.

Examples
--------
>>> import numpy as np, gradclip
>>> params, grads = [np.array([1.0, 1.0])], [np.array([3.0, 4.0])]
>>> gradclip.sgd_step_(params, grads, lr=0.5, max_norm=2.5)
5.0
>>> params[0].round(12)
array([0.25, 0.  ])
)";

PyObject* sgd_step_in_place(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<10> signature("sgd_step_",
                                       {"params", "grads", "lr", "max_norm", "momentum", "nesterov",
                                        "velocity", "weight_decay", "inv_scale", "nonfinite"},
                                       3, 3);
  const SgdCall call(signature.bind(args, count, keywords));
  const Leaves params(call.params, Access::kInPlaceTracked, {.axes = true, .name = "params"});
  const Leaves grads(call.grads, Access::kRead, {.axes = true});
  std::optional<Leaves> velocity;
  if (call.velocity != nullptr) {
    velocity.emplace(call.velocity, Access::kInPlace, Reading{.axes = true, .name = "velocity"});
  }
  std::vector<const Leaves*> others{&params};
  if (velocity) others.push_back(&*velocity);
  const ParallelLists lists(grads, others);
  lists.require_equal_dtypes();
  lists.refuse_shared_memory();
  grads.check_representable(call.inv_scale, "inv_scale");
  grads.check_representable(call.descent.lr, "lr");
  grads.check_representable(call.descent.momentum, "momentum");
  grads.check_representable(call.descent.weight_decay, "weight_decay");

  const Work of_norm(grads.spans());
  Norms norms(of_norm, Order{});
  const SpanList parameters = lists.aligned(0);
  const SpanList gradients = lists.aligned_grads();
  std::optional<SpanList> velocities;
  if (velocity) velocities = lists.aligned(1);
  const SpanList* const moving = velocities ? &*velocities : nullptr;
  const Work work(parameters, update_options(parameters, gradients, moving));
  without_gil(of_norm.bytes(), [&] { norms.measure(); });
  const double norm = norms.norm(call.inv_scale);
  py::object result = checked(PyFloat_FromDouble(norm));

  ClipPlan plan;
  if (is_finite(norm)) {
    const double max_norm = call.max_norm ? call.max_norm->at(norm) : INFINITY;
    if (call.max_norm && call.max_norm->callable()) {
      lists.check_unchanged("the max_norm function", true);
    }
    plan = plan_clip(norm, max_norm, {0.0, call.inv_scale}, precision(of_norm.contents(), Order{}));
  } else {
    if (call.nonfinite == NonFinite::kRaise) refuse_nonfinite(norm, norms, grads);
    if (call.nonfinite == NonFinite::kSkip) return result.release().ptr();
    plan = plan_nonfinite(norm, call.nonfinite);
  }
  DTypeSteps factor = one_step(1.0);
  Descent descent = call.descent;
  apply_plan(plan, factor, descent);
  lists.announce_write();
  without_gil(3 * work.bytes(), [&] { descend(work, gradients, moving, factor, descent); });
  return result.release().ptr();
}

constexpr const char* kAdaptiveGradClipDoc =
    R"(adaptive_grad_clip_($module, grads, params, clipping=0.01, *, eps=1e-3, axis=None)
--

Scale each unit of gradients in place so that its norm is at most a fraction of its parameters'.

A unit is the part of a layer that has an output of its own. With norms of the unit's gradients and
parameters, its gradients become min(1, clipping · max(norm of parameters, eps) / norm) · gradients.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    As for `clip_by_global_norm_`.
params : array or nesting of list, tuple and dict of arrays
    The parameters, in the same nesting, of the same shapes, which are only read; where a gradient
    is None, a parameter may be there all the same.
clipping : float, default 0.01
    The fraction, at least 0.
eps : float, default 1e-3
    What a norm of parameters counts at least, so that those that are zero may grow.
axis : int or tuple of int, optional
    The axes that a unit's norm sums over. Those that an array does not have are left out, and an
    array that has none of them is one unit, as are arrays of one dimension: so (1, 2, 3) stands for
    all but the first, as in PyTorch's layers. By default units are those of optax: whole arrays of
    one dimension, apart from axes of length 1; else all axes but the last one, or axis 0 of three.

Returns
-------
int
    The number of units clipped.

Raises
------
TypeError, ValueError, RuntimeError
    As for `clip_by_global_norm_`; also ValueError if grads and params differ in nesting or shape, if
    they share memory, or by default if an array has more than five dimensions.
NonFiniteNormError
    The norm of a unit of gradients is inf or NaN, or that of its parameters is NaN, or inf where
    clipping is 0.

Notes
-----
Brock et al., "High-performance large-scale image recognition without normalization", ICML 2021.

Examples
--------
>>> import numpy as np, gradclip
>>> grads, params = np.array([[3.0, 0.0], [4.0, 0.1]]), np.ones((2, 2))
>>> gradclip.adaptive_grad_clip_(grads, params, clipping=0.5)  # of each column
1
>>> grads.round(3)
array([[0.424, 0.   ],
       [0.566, 0.1  ]])
)";

// optax's: which axes of an array a unit's norm sums over.
bool is_in_unit_of_optax(const std::vector<Axis>& axes, std::size_t axis) {
  const auto long_axes =
      std::ranges::count_if(axes, [](const Axis& one) { return one.extent != 1; });
  if (long_axes <= 1) return true;
  return axes.size() <= 3 ? axis == 0 : axis + 1 < axes.size();
}

bool is_one_of(const std::vector<Py_ssize_t>& inside, const std::vector<Axis>& axes,
               std::size_t axis) {
  const auto ndim = static_cast<Py_ssize_t>(axes.size());
  const auto is_in = [&](Py_ssize_t i) {
    return std::ranges::find(inside, i) != inside.end() ||
           std::ranges::find(inside, i - ndim) != inside.end();
  };
  bool none = true;
  for (Py_ssize_t i = 0; i < ndim; ++i) none &= !is_in(i);
  return none || is_in(static_cast<Py_ssize_t>(axis));
}

std::vector<double> unit_norms(const Units& units) {
  const Work work(units.spans());
  Norms norms(work, Order{});
  std::vector<double> result(work.units());
  without_gil(work.bytes(), [&] { norms.measure(); });
  norms.unit_norms(result.data());
  return result;
}

[[noreturn]] void refuse_unit(double norm, const std::string& path) {
  raise_nonfinite_norm("the norm of a unit of " + path + " is " + (is_nan(norm) ? "nan" : "inf") +
                           ", so that it has no threshold. Nothing was changed",
                       norm, path);
}

PyObject* adaptive_grad_clip_in_place(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<5> signature("adaptive_grad_clip_",
                                      {"grads", "params", "clipping", "eps", "axis"}, 3, 2);
  const auto bound = signature.bind(args, count, keywords);
  const double clipping = bound[2] != nullptr ? to_rate(bound[2], "clipping") : 0.01;
  const double eps = bound[3] != nullptr ? to_rate(bound[3], "eps") : 1e-3;
  const Axes axes = to_axes(bound[4]);
  const Leaves grads(bound[0], Access::kInPlace, {.axes = true});
  const Leaves params(bound[1], Access::kRead, {.axes = true, .name = "params"});
  const ParallelLists lists(grads, {&params});
  lists.refuse_shared_memory();
  const auto rule = [&](const std::vector<Axis>& shape, std::size_t axis) {
    return axes ? is_one_of(*axes, shape, axis) : is_in_unit_of_optax(shape, axis);
  };
  for (std::size_t i = 0; i < grads.spans().size() && !axes; ++i) {
    if (grads.layout(i).axes.size() > 5) {
      raise(PyExc_ValueError, "%s has more than five dimensions; say what a unit is with axis=",
            grads.path(i).c_str());
    }
  }
  const Units units(grads, rule);
  const Units of_params(params, units, lists.partners(0));
  const std::vector<double> norms = unit_norms(units);
  std::vector<double> max_norms = unit_norms(of_params);
  Py_ssize_t clipped = 0;
  for (std::size_t i = 0; i < norms.size(); ++i) {
    if (!is_finite(norms[i])) refuse_unit(norms[i], grads.path(units.leaf_of(i)));
    const double norm_of_params = max_norms[i];
    max_norms[i] = adaptive_max_norm(clipping, norm_of_params, eps);
    if (is_nan(max_norms[i])) {  // it is, or it is infinite and clipping is 0
      refuse_unit(norm_of_params, params.path(lists.partners(0)[units.leaf_of(i)]));
    }
    clipped += exceeds(norms[i], max_norms[i]);
  }
  py::object result = checked(PyLong_FromSsize_t(clipped));
  if (clipped == 0) return result.release().ptr();
  lists.announce_write();
  const UnitPlans plans(norms, max_norms, Order{}, 0.0, NonFinite::kRaise);
  const Work work(units.spans());
  without_gil(2 * work.bytes(), [&] { write(work, plans); });
  return result.release().ptr();
}

}  // namespace

PyMethodDef* update_functions() {
  static PyMethodDef functions[] = {
      method<sgd_step_in_place>("sgd_step_", kSgdStepDoc),
      method<adaptive_grad_clip_in_place>("adaptive_grad_clip_", kAdaptiveGradClipDoc),
      {}};
  return functions;
}

}  // namespace gradclip
