// global_norm and array_norms.
#include <pybind11/numpy.h>

#include "bindings/arguments.hpp"
#include "bindings/functions.hpp"
#include "bindings/gil.hpp"
#include "bindings/leaves.hpp"
#include "bindings/options.hpp"
#include "core/passes.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

constexpr const char* kGlobalNorm = R"(global_norm($module, grads, *, ord=2.0)
--

The norm of all elements of all arrays together.

It is (Σ gᵢ²)^½, accumulated in float64 with compensation: to a relative error of 2⁻⁴⁴ for
float32 and 16-bit arrays, to 1 ulp for float64, whatever the length. The same arrays give the same
bits on any number of threads and any instruction set; but orders other than 1, 2 and inf use the C
library's pow, which differs between machines.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    NumPy arrays, or tensors in CPU memory that DLPack describes, such as PyTorch's, of dtype
    float16, bfloat16 (in NumPy that of ml_dtypes), float32, float64, complex64 or complex128, of
    any shape and layout. None is skipped.
ord : float, default 2.0
    The order of the norm, p in ``(Σ |gᵢ|ᵖ)^(1/p)``: 1 for the sum of the magnitudes, right to 2⁻⁴³
    or for float64 1 ulp; inf for the largest one, exact; or any other positive number, right to
    2⁻⁴⁸ · max(1, 1/p), but many times slower. Complex numbers count with their modulus ``|z|``, by
    orders 1 and inf to 2⁻⁴³ (complex64) or 2⁻⁵¹.

Returns
-------
float
    The norm; inf or nan if an element is. 0.0 if there are no elements.

Raises
------
TypeError
    A leaf is no array of a supported dtype, or does not show its memory; the message says which.
ValueError
    A tensor is on another device, the nesting deeper than 100 levels, or ord no positive number.

Examples
--------
>>> import numpy as np, gradclip
>>> gradclip.global_norm({"w": np.array([[3.0, 0.0]]), "b": np.array([4.0])})
5.0
>>> gradclip.global_norm(np.array([1e20, 1e20], dtype=np.float32))  # no overflow
1.4142135907151756e+20
>>> z = np.array([3 + 4j, 1 - 1j])
>>> gradclip.global_norm(z), gradclip.global_norm(z, ord=np.inf)
(5.196152422706632, 5.0)
)";

PyObject* global_norm(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<2> signature("global_norm", {"grads", "ord"}, 1, 1);
  const auto [grads, ord] = signature.bind(args, count, keywords);
  const Order order = to_order(ord);
  const Leaves leaves(grads, Access::kRead);
  const Work work(leaves.spans(), order.cost());
  Norms norms(work, order);
  without_gil(work.effort(), [&] { norms.measure(); });
  return PyFloat_FromDouble(norms.norm());
}

constexpr const char* kArrayNorms = R"(array_norms($module, grads, *, ord=2.0)
--

The norm of each array.

Parameters
----------
grads : array or nesting of list, tuple and dict of arrays
    As for `global_norm`.
ord : float, default 2.0
    As for `global_norm`.

Returns
-------
numpy.ndarray
    float64, shape (n,): one norm for each of the n arrays, in the order of the nesting; None is
    left out. Each is as `global_norm` gives it for that array alone; 0.0 for an empty array.

Raises
------
TypeError, ValueError
    As for `global_norm`. Never for inf or NaN among the elements.

Examples
--------
>>> import numpy as np, gradclip
>>> gradclip.array_norms([np.array([3.0, 4.0]), None, np.ones(16, dtype=np.float32)])
array([5., 4.])
)";

PyObject* array_norms(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static const Signature<2> signature("array_norms", {"grads", "ord"}, 1, 1);
  const auto [grads, ord] = signature.bind(args, count, keywords);
  const Order order = to_order(ord);
  const Leaves leaves(grads, Access::kRead);
  const Work work(leaves.spans(), order.cost());
  Norms norms(work, order);
  py::array_t<double> result(static_cast<py::ssize_t>(leaves.spans().size()));
  without_gil(work.effort(), [&] { norms.measure(); });
  norms.array_norms(result.mutable_data());
  return result.release().ptr();
}

}  // namespace

PyMethodDef* norm_functions() {
  static PyMethodDef functions[] = {method<global_norm>("global_norm", kGlobalNorm),
                                    method<array_norms>("array_norms", kArrayNorms),
                                    {}};
  return functions;
}

}  // namespace gradclip
