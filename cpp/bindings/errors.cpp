#include "bindings/errors.hpp"

#include <cmath>

namespace py = pybind11;

namespace gradclip {
namespace {

constexpr const char* kDoc =
    "The norm of the gradients is inf or NaN; nothing has been written.\n\n"
    "Attributes\n"
    "----------\n"
    "path : str or None\n"
    "    The first array that holds an inf or NaN, written as Python would: ``grads['w'][0]``.\n"
    "    None if every value is finite and only their norm is too large for float64.\n"
    "norm : float\n"
    "    The norm: inf or nan.\n";

PyObject* nonfinite_norm_error = nullptr;  // owned by the module, which is never unloaded

}  // namespace

void add_nonfinite_norm_error(py::module_& module) {
  const py::dict attributes;
  attributes["path"] = py::none();
  attributes["norm"] = py::float_(NAN);
  py::object type = checked(PyErr_NewExceptionWithDoc("gradclip.NonFiniteNormError", kDoc,
                                                      PyExc_ArithmeticError, attributes.ptr()));
  nonfinite_norm_error = type.ptr();
  module.add_object("NonFiniteNormError", type);
}

void raise_nonfinite_norm(const std::string& message, double norm, const std::string& path) {
  py::object error = checked(PyObject_CallFunction(nonfinite_norm_error, "s", message.c_str()));
  error.attr("norm") = norm;
  if (!path.empty()) error.attr("path") = path;
  PyErr_SetObject(nonfinite_norm_error, error.ptr());
  throw PythonError{};
}

}  // namespace gradclip
