// The nesting of a functional call's result.
#include "bindings/call_python.hpp"
#include "bindings/errors.hpp"
#include "bindings/leaves.hpp"
#include "bindings/ndarray.hpp"
#include "bindings/refusals.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

py::object call(const py::object& callable, PyObject* argument) {
  return checked(call_python([&] { return PyObject_CallOneArg(callable.ptr(), argument); }));
}

// A shallow copy, of the same subclass and with what the subclass adds.
py::object shallow_copy(PyObject* object) {
  return call(py::module_::import("copy").attr("copy"), object);
}

py::object as_type_of(PyObject* tuple, const py::list& items) {
  const py::handle type(reinterpret_cast<PyObject*>(Py_TYPE(tuple)));
  if (PyTuple_CheckExact(tuple)) return checked(PyList_AsTuple(items.ptr()));
  if (py::hasattr(type, "_make")) return call(type.attr("_make"), items.ptr());  // a namedtuple
  return call(py::reinterpret_borrow<py::object>(type), items.ptr());
}

[[noreturn]] void refuse_change() {
  raise(PyExc_RuntimeError, "grads changed while it was being read");
}

}  // namespace

py::object Leaves::rebuilt(PyObject* grads, std::span<PyObject* const> leaves) const {
  std::size_t next = 0;
  py::object result = rebuild(grads, leaves, next, 0);
  if (next != leaves.size()) refuse_change();
  check_unchanged("copying the arrays and containers", false);
  return result;
}

py::object Leaves::rebuild(PyObject* object, std::span<PyObject* const> leaves, std::size_t& next,
                           int depth) const {
  const auto held = py::reinterpret_borrow<py::object>(object);  // copies run the subclass's code
  if (depth > kMaxDepth) refuse_change();
  if (object == Py_None) return py::none();
  if (!PyList_Check(object) && !PyTuple_Check(object) && !PyDict_Check(object)) {
    if (next == leaves.size() || arrays_[next] != object) refuse_change();
    return py::reinterpret_borrow<py::object>(leaves[next++]);
  }
  if (PyTuple_Check(object)) {
    py::list items;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); ++i) {
      items.append(rebuild(PyTuple_GET_ITEM(object, i), leaves, next, depth + 1));
    }
    return as_type_of(object, items);
  }
  py::object copy = shallow_copy(object);
  if (PyList_Check(object)) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(object); ++i) {
      copy[py::int_(i)] = rebuild(PyList_GET_ITEM(object, i), leaves, next, depth + 1);
    }
  } else {
    const py::object items = checked(call_python([object] { return PyMapping_Items(object); }));
    for (const py::handle item : items) {
      const auto [key, value] = key_and_value(item.ptr());
      copy[py::handle(key)] = rebuild(value, leaves, next, depth + 1);
    }
  }
  return copy;
}

}  // namespace gradclip
