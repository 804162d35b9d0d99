#include "bindings/refusals.hpp"

#include "bindings/errors.hpp"
#include "bindings/ndarray.hpp"

namespace py = pybind11;

namespace gradclip {

// numpy.ma may not be imported; then there are no masked arrays.
bool is_masked(PyObject* array) {
  if (NdArray::check_exact(array)) return false;
  PyObject* const module = PyDict_GetItemString(PyImport_GetModuleDict(), "numpy.ma");  // borrowed
  if (module == nullptr || !PyModule_Check(module)) return false;
  PyObject* const type = PyDict_GetItemString(PyModule_GetDict(module), "MaskedArray");
  // By its real type: isinstance would run whatever the array has for a __class__.
  return type != nullptr && PyType_Check(type) &&
         PyType_IsSubtype(Py_TYPE(array), reinterpret_cast<PyTypeObject*>(type));
}

void refuse_object(PyObject* object, const std::string& path) {
  const char* type = Py_TYPE(object)->tp_name;
  const bool container = Py_TYPE(object)->tp_iter != nullptr && !PyUnicode_Check(object) &&
                         PyObject_HasAttrString(object, "__array__") == 0;
  if (container) {
    raise(PyExc_TypeError,
          "%s is a %s; pass a NumPy array, or a list, tuple or dict of them, such as list(...)",
          path.c_str(), type);
  }
  raise(PyExc_TypeError,
        "%s is of type %s; pass a NumPy array, or a list, tuple or dict of them (None is skipped)",
        path.c_str(), type);
}

void refuse_dtype(PyObject* object, const std::string& path) {
  const NdArray array(object);
  if (is_masked(object)) {
    raise(PyExc_TypeError, "%s is a masked array of dtype %S; pass its .data, or .filled(0)",
          path.c_str(), array.descr());
  }
  if (!array.element()) {
    raise(PyExc_TypeError,
          "%s has dtype %S; gradients must be float16, bfloat16 (of ml_dtypes), float32, float64, "
          "complex64 or complex128 (.astype() converts a copy)",
          path.c_str(), array.descr());
  }
  raise(PyExc_TypeError,
        "%s has dtype %S, which is not in native byte order; convert it with "
        ".astype(a.dtype.newbyteorder('='))",
        path.c_str(), array.descr());
}

void refuse_read_only(const std::string& path) {
  raise(PyExc_ValueError,
        "%s is read-only; pass a writeable array (.copy()), or call a function that returns new "
        "ones, such as clip_by_global_norm",
        path.c_str());
}

void refuse_self_overlap(const std::string& path) {
  raise(PyExc_ValueError,
        "%s overlaps itself: elements share memory, as after broadcast_to; pass a copy",
        path.c_str());
}

void refuse_subclass(PyObject* object, const std::string& path) {
  raise(PyExc_TypeError,
        "%s is of type %s, of which numpy.empty_like makes no array of the same shape and dtype; "
        "pass a plain array, .view(numpy.ndarray)",
        path.c_str(), Py_TYPE(object)->tp_name);
}

std::pair<PyObject*, PyObject*> key_and_value(PyObject* item) {
  if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
    raise(PyExc_TypeError, "items() of a dict subclass gave %R, not a (key, value) tuple", item);
  }
  return {PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1)};
}

}  // namespace gradclip
