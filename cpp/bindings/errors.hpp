// Python exceptions from C++.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

namespace gradclip {

// Thrown when the Python error is already set.
struct PythonError {};

// Sets the error and throws PythonError. `format` is that of PyErr_Format.
template <class... Args>
[[noreturn]] void raise(PyObject* type, const char* format, Args... args) {
  PyErr_Format(type, format, args...);
  throw PythonError{};
}

// Takes a new reference from the C API, or throws the error it set.
inline pybind11::object checked(PyObject* result) {
  if (result == nullptr) throw PythonError{};
  return pybind11::reinterpret_steal<pybind11::object>(result);
}

// NonFiniteNormError, made once when the module is.
void add_nonfinite_norm_error(pybind11::module_& module);

// Raises it for a norm of inf or NaN; an empty path stands for none.
[[noreturn]] void raise_nonfinite_norm(const std::string& message, double norm,
                                       const std::string& path);

}  // namespace gradclip
