// clip_per_example_ and clip_per_example_sum: each example of a batch by its own norm.
#include <pybind11/numpy.h>

#include <algorithm>

#include "bindings/arguments.hpp"
#include "bindings/functions.hpp"
#include "bindings/gil.hpp"
#include "bindings/leaves.hpp"
#include "bindings/nonfinite.hpp"
#include "bindings/options.hpp"
#include "bindings/torch.hpp"
#include "bindings/units.hpp"
#include "core/examples.hpp"
#include "core/float_bits.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

struct ExampleCall {
  explicit ExampleCall(const Signature<3>::Bound& bound)
      : grads(bound[0]),
        max_norm(to_max_norm(bound[1], "max_norm")),
        nonfinite(to_nonfinite(bound[2])) {}

  PyObject* grads;
  double max_norm;
  NonFinite nonfinite;
};

Signature<3> example_signature(const char* function) {
  return {function, {"grads", "max_norm", "nonfinite"}, 2, 2};
}

// The length of the axis that all arrays begin with.
std::size_t batch_size(const Leaves& leaves) {
  for (std::size_t i = 0; i < leaves.spans().size(); ++i) {
    const std::vector<Axis>& axes = leaves.layout(i).axes;
    if (axes.empty()) {
      raise(PyExc_ValueError, "%s has no axis, and so no examples along the first one",
            leaves.path(i).c_str());
    }
    if (axes[0].extent != leaves.layout(0).axes[0].extent) {
      raise(PyExc_ValueError, "%s has %zu examples along its first axis, but %s has %zu",
            leaves.path(i).c_str(), axes[0].extent, leaves.path(0).c_str(),
            leaves.layout(0).axes[0].extent);
    }
  }
  return leaves.spans().size() == 0 ? 0 : leaves.layout(0).axes[0].extent;
}

bool is_no_batch_axis(const std::vector<Axis>&, std::size_t axis) { return axis != 0; }

constexpr const char* kClipPerExampleDoc =
    R"(clip_per_example_($module, grads, max_norm, *, nonfinite='raise')
--

Scale each example of a batch in place so that its norm is at most max_norm.

All arrays have the examples along their first axis. Example i, which is array[i] of them all,
becomes min(1, max_norm / norm) · itself, where norm is the global norm of it: just what
`clip_by_global_norm_` does to a list of these slices, bit for bit. Unless nonfinite is 'raise', an
example is clipped while it is still in the cache, so that the batch crosses memory once.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    As for `clip_by_global_norm_`, each of shape (batch, ...).
max_norm : float
    The threshold, at least 0.
nonfinite : {'raise', 'skip', 'zero', 'propagate'}
    What to do with an example whose norm is inf or NaN. 'raise' changes nothing at all; 'zero'
    drops the example: fills it with zeros; 'skip' leaves it and 'propagate' multiplies it by
    max_norm / norm, as IEEE arithmetic has it.

Returns
-------
numpy.ndarray
    The norms before clipping, float64, shape (batch,).

Raises
------
TypeError, ValueError, RuntimeError
    As for `clip_by_global_norm_`; also ValueError if an array has no axis or another number of
    examples than the first one.
NonFiniteNormError
    The norm of an example is inf or NaN and nonfinite is 'raise'.

Notes
-----
This is what makes stochastic gradient descent private, before noise is added: Abadi et al., "Deep
learning with differential privacy", CCS 2016.

Examples
--------
>>> import numpy as np, gradclip
>>> grads = {"w": np.array([[3.0, 0.0], [0.3, 0.0]]), "b": np.array([4.0, 0.4])}
>>> gradclip.clip_per_example_(grads, 1.0)
array([5. , 0.5])
>>> grads
{'w': array([[0.6, 0. ],
       [0.3, 0. ]]), 'b': array([0.8, 0.4])}
)";

PyObject* clip_per_example_in_place(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<3> signature = example_signature("clip_per_example_");
  const ExampleCall call(signature.bind(args, count, keywords));
  const Leaves leaves(call.grads, Access::kInPlace, {.axes = true});
  const std::size_t examples = batch_size(leaves);
  const Units units(leaves, is_no_batch_axis);
  Batch batch(units.spans(), examples);
  py::array_t<double> result(static_cast<py::ssize_t>(examples));
  const std::span<double> norms(result.mutable_data(), examples);
  if (call.nonfinite != NonFinite::kRaise) {
    leaves.announce_write();
    without_gil(2 * batch.bytes(), [&] { batch.clip(call.max_norm, call.nonfinite, norms); });
    return result.release().ptr();
  }
  without_gil(batch.bytes(), [&] { batch.measure(norms); });
  refuse_nonfinite_examples(norms, batch, leaves);
  if (std::ranges::any_of(norms, [&](double norm) { return exceeds(norm, call.max_norm); })) {
    leaves.announce_write();
    without_gil(2 * batch.bytes(), [&] { batch.clip_known(call.max_norm, call.nonfinite, norms); });
  }
  return result.release().ptr();
}

// New arrays for the sums of examples, and their spans.
class SumArrays {
 public:
  SumArrays(const Leaves& leaves) {
    for (std::size_t i = 0; i < leaves.spans().size(); ++i) add(leaves, i);
  }

  const SpanList& spans() const noexcept { return spans_; }
  std::vector<PyObject*> results() const {
    std::vector<PyObject*> results;
    for (const py::object& result : results_) results.push_back(result.ptr());
    return results;
  }

 private:
  void add(const Leaves& leaves, std::size_t leaf) {
    const Element element = leaves.spans()[leaf].element;
    const bool wide = element.dtype == DType::kFloat64;
    const Element of_sum{wide ? DType::kFloat64 : DType::kFloat32, element.pair};
    const Leaves::Layout& layout = leaves.layout(leaf);
    const std::vector<Axis> own(layout.axes.begin() + 1, layout.axes.end());
    std::vector<std::size_t> shape;
    for (const Axis& axis : own) shape.push_back(axis.extent);
    const char* const names[] = {"f4", "f8", "c8", "c16"};
    const py::array array(py::dtype(names[2 * element.pair + wide]), shape);
    // In the order in which an example's elements are visited.
    std::vector<Axis> axes;
    for (std::size_t i = 0; i < own.size(); ++i) {
      axes.push_back(
          {own[i].extent, own[i].source_stride, array.strides(static_cast<py::ssize_t>(i))});
    }
    const std::byte* source = layout.source;
    auto* target = static_cast<std::byte*>(const_cast<void*>(array.data()));
    SpanList::order(axes, source, target);
    for (Axis& axis : axes) axis.source_stride = axis.target_stride;
    spans_.add_ordered(target, target, axes, of_sum);
    results_.push_back(leaves.is_torch_tensor(leaf) ? torch_tensor(array) : py::object(array));
  }

  SpanList spans_;
  std::vector<py::object> results_;
};

constexpr const char* kClipPerExampleSumDoc =
    R"(clip_per_example_sum($module, grads, max_norm, *, nonfinite='raise')
--

The sum over a batch of its clipped examples.

Sums of what `clip_per_example_` would write, which is not written: an example is read once, its
norm taken, and it is added while it is still in the cache. A product is rounded once, together with
the sum that it is added to, and not to 16 bits. The sums have the same bits on any number of threads
and any instruction set.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    As for `global_norm`, each of shape (batch, ...). They are not changed.
max_norm : float
    The threshold, at least 0.
nonfinite : {'raise', 'skip', 'zero', 'propagate'}
    As for `clip_per_example_`; 'zero' leaves the example out.

Returns
-------
sums : array or nesting of arrays
    New arrays of shape (...), in the same nesting and container types: of float32 for float32 and
    16-bit arrays, else float64, or complex64 and complex128. PyTorch's tensors for PyTorch's.
norms : numpy.ndarray
    The norms before clipping, float64, shape (batch,).

Raises
------
TypeError, ValueError, NonFiniteNormError
    As for `clip_per_example_`. Arrays may share memory and may be read-only.

Examples
--------
>>> import numpy as np, gradclip
>>> grads = np.array([[3.0, 4.0], [0.3, 0.4]])
>>> gradclip.clip_per_example_sum(grads, 1.0)
(array([0.9, 1.2]), array([5. , 0.5]))
)";

PyObject* clip_per_example_sum(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<3> signature = example_signature("clip_per_example_sum");
  const ExampleCall call(signature.bind(args, count, keywords));
  const Leaves leaves(call.grads, Access::kRead, {.axes = true});
  const std::size_t examples = batch_size(leaves);
  const Units units(leaves, is_no_batch_axis);
  const SumArrays sums(leaves);
  const py::object nesting = leaves.rebuilt(call.grads, sums.results());
  Batch batch(units.spans(), examples);
  batch.prepare_sums();
  const Work of_sums(sums.spans());
  py::array_t<double> result(static_cast<py::ssize_t>(examples));
  const std::span<double> norms(result.mutable_data(), examples);
  without_gil(2 * batch.bytes(), [&] { batch.sum(call.max_norm, call.nonfinite, of_sums, norms); });
  if (call.nonfinite == NonFinite::kRaise) refuse_nonfinite_examples(norms, batch, leaves);
  return PyTuple_Pack(2, nesting.ptr(), result.ptr());
}

}  // namespace

PyMethodDef* example_functions() {
  static PyMethodDef functions[] = {
      method<clip_per_example_in_place>("clip_per_example_", kClipPerExampleDoc),
      method<clip_per_example_sum>("clip_per_example_sum", kClipPerExampleSumDoc),
      {}};
  return functions;
}

}  // namespace gradclip
