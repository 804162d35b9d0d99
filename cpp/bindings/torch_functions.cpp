// What gradclip.torch is made of: torch.nn.utils.clip_grad for plain tensors in CPU memory.
//
// A TypeError or ValueError stands for a case that is left to torch. It is raised before anything
// is written, as all errors are.
#include <cmath>
#include <string>

#include "bindings/arguments.hpp"
#include "bindings/attribute.hpp"
#include "bindings/functions.hpp"
#include "bindings/gil.hpp"
#include "bindings/leaves.hpp"
#include "bindings/options.hpp"
#include "bindings/torch.hpp"
#include "core/float_bits.hpp"
#include "core/passes.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

constexpr double kEps = 1e-6;  // torch's

// As float() makes it one: of a tensor, or of 'inf'.
double as_float(PyObject* object) {
  return PyFloat_AsDouble(checked(PyNumber_Float(object)).ptr());
}

Order to_norm_type(PyObject* object) { return to_order(py::float_(as_float(object)).ptr()); }

void require_plain(PyObject* tensor, Py_ssize_t i) {
  if (is_plain_torch_tensor(Py_TYPE(tensor))) return;
  raise(PyExc_TypeError, "the gradient or tensor %zd is a %s", i, Py_TYPE(tensor)->tp_name);
}

// The gradients of a list of parameters, with None for those that have none.
py::list grads_of(PyObject* parameters) {
  if (!PyList_Check(parameters)) raise(PyExc_TypeError, "parameters must be a list");
  py::list grads;
  static PyObject* const name = interned("grad");
  Attribute grad_of(name);
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(parameters); ++i) {
    const auto parameter = py::reinterpret_borrow<py::object>(PyList_GET_ITEM(parameters, i));
    const py::object grad = grad_of.of(parameter.ptr());
    if (!grad.is_none()) require_plain(grad.ptr(), i);
    grads.append(grad);
  }
  return grads;
}

// What torch's type promotion makes of the tensors' norms.
DType norm_dtype(const SpanList& spans) noexcept {
  DType result = spans[0].dtype();
  for (const Span& span : spans) {
    if (span.dtype() == result || result == DType::kFloat64) continue;
    const bool wide = span.dtype() == DType::kFloat64;
    result = wide ? DType::kFloat64 : DType::kFloat32;  // of float16 and bfloat16, too
  }
  return result;
}

py::object norm_tensor(double norm, const Norms& norms, const Leaves& leaves,
                       bool error_if_nonfinite) {
  if (error_if_nonfinite && !is_finite(norm)) {
    const std::size_t bad = norms.first_nonfinite();
    const bool overflow = bad == leaves.spans().size();
    raise_nonfinite_norm("the norm is inf or NaN", norm, overflow ? "" : leaves.path(bad));
  }
  return torch_scalar(norm, norm_dtype(leaves.spans()));
}

void apply(const ClipPlan& plan, const Work& work, const Leaves& leaves) {
  if (plan.action == ClipPlan::Action::kKeep) return;
  leaves.announce_write();
  without_gil(2 * work.bytes(), [&] { write(work, plan); });
}

constexpr const char* kClipGradNormDoc =
    R"(_clip_grad_norm($module, parameters, max_norm, norm_type, error_if_nonfinite)
--

The norm before clipping, a 0-d tensor; None if no parameter in the list has a gradient.
)";

PyObject* clip_grad_norm(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<4> signature(
      "_clip_grad_norm", {"parameters", "max_norm", "norm_type", "error_if_nonfinite"});
  const auto [parameters, max_norm, norm_type, error_if_nonfinite] =
      signature.bind(args, count, keywords);
  const double threshold = as_float(max_norm);
  const Order order = to_norm_type(norm_type);
  const bool strict = is_true(error_if_nonfinite);
  const py::list grads = grads_of(parameters);
  const Leaves leaves(grads.ptr(), Access::kInPlaceTracked);
  if (leaves.spans().size() == 0) Py_RETURN_NONE;
  const Work work(leaves.spans(), order.cost());
  Norms norms(work, order);
  without_gil(work.effort(), [&] { norms.measure(); });
  const double norm = norms.norm();
  py::object result = norm_tensor(norm, norms, leaves, strict);
  apply(plan_ratio(norm, threshold, kEps, precision(work.contents(), order)), work, leaves);
  return result.release().ptr();
}

constexpr const char* kGetTotalNormDoc =
    R"(_get_total_norm($module, tensors, norm_type, error_if_nonfinite)
--

The norm, a 0-d tensor; None if the list is empty.
)";

PyObject* get_total_norm(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<3> signature("_get_total_norm",
                                      {"tensors", "norm_type", "error_if_nonfinite"});
  const auto [tensors, norm_type, error_if_nonfinite] = signature.bind(args, count, keywords);
  const Order order = to_norm_type(norm_type);
  const bool strict = is_true(error_if_nonfinite);
  if (!PyList_Check(tensors)) raise(PyExc_TypeError, "tensors must be a list");
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tensors); ++i) {
    require_plain(PyList_GET_ITEM(tensors, i), i);
  }
  const Leaves leaves(tensors, Access::kRead);
  if (leaves.spans().size() == 0) Py_RETURN_NONE;
  const Work work(leaves.spans(), order.cost());
  Norms norms(work, order);
  without_gil(work.effort(), [&] { norms.measure(); });
  return norm_tensor(norms.norm(), norms, leaves, strict).release().ptr();
}

// How far a norm may be above a tensor that it was rounded to. Lists with 16-bit arrays have no
// bound to keep.
double rounding_of(DType dtype) noexcept { return dtype == DType::kFloat32 ? 0x1.0001p-24 : 0.0; }

constexpr const char* kClipGradsWithNormDoc =
    R"(_clip_grads_with_norm($module, parameters, max_norm, total_norm)
--

Clip by a 0-d tensor.
)";

PyObject* clip_grads_with_norm(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<3> signature("_clip_grads_with_norm",
                                      {"parameters", "max_norm", "total_norm"});
  const auto [parameters, max_norm, total_norm] = signature.bind(args, count, keywords);
  const double threshold = as_float(max_norm);
  require_plain(total_norm, 0);
  const Element of_norm = Leaves(total_norm, Access::kRead).spans()[0].element;
  const py::handle tensor(total_norm);
  if (of_norm.pair || tensor.attr("ndim").cast<int>() != 0) {
    raise(PyExc_TypeError, "total_norm is no real 0-d tensor");
  }
  const double norm = tensor.attr("item")().cast<double>();  // as float(), which warns of a graph
  const py::list grads = grads_of(parameters);
  const Leaves leaves(grads.ptr(), Access::kInPlaceTracked);
  const Work work(leaves.spans());
  Precision bound = precision(work.contents(), Order{});
  bound.slack += rounding_of(of_norm.dtype);
  apply(plan_ratio(norm, threshold, kEps, bound), work, leaves);
  Py_RETURN_NONE;
}

constexpr const char* kClipGradValueDoc =
    R"(_clip_grad_value($module, parameters, clip_value)
--

Clamp to ±clip_value.
)";

PyObject* clip_grad_value(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<2> signature("_clip_grad_value", {"parameters", "clip_value"});
  const auto [parameters, clip_value] = signature.bind(args, count, keywords);
  const double bound = to_max_norm(py::float_(as_float(clip_value)).ptr(), "clip_value");
  const py::list grads = grads_of(parameters);
  const Leaves leaves(grads.ptr(), Access::kInPlaceTracked);
  if (is_finite(bound)) leaves.check_representable(bound, "clip_value");
  const Order order{OrderKind::kMax, INFINITY};
  const Work work(leaves.spans(), order.cost());
  if (work.contents().pairs) raise(PyExc_TypeError, "complex numbers have no order");
  Norms norms(work, order);
  without_gil(work.effort(), [&] { norms.measure(); });
  if (!exceeds(norms.norm(), bound)) Py_RETURN_NONE;
  leaves.announce_write();
  without_gil(2 * work.bytes(), [&] { clamp(work, -bound, bound); });
  Py_RETURN_NONE;
}

}  // namespace

PyMethodDef* torch_functions() {
  static PyMethodDef functions[] = {
      method<clip_grad_norm>("_clip_grad_norm", kClipGradNormDoc),
      method<get_total_norm>("_get_total_norm", kGetTotalNormDoc),
      method<clip_grads_with_norm>("_clip_grads_with_norm", kClipGradsWithNormDoc),
      method<clip_grad_value>("_clip_grad_value", kClipGradValueDoc),
      {}};
  return functions;
}

}  // namespace gradclip
