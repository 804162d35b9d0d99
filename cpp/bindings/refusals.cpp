#include "bindings/refusals.hpp"

#include "bindings/errors.hpp"
#include "bindings/ndarray.hpp"
#include "core/fp_environment.hpp"

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
        "%s is of type %s; pass a NumPy array, a tensor in CPU memory, or a list, tuple or dict of "
        "them (None is skipped)",
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

void refuse_order_of_complex(const std::string& path) {
  raise(PyExc_TypeError,
        "%s is complex, and complex numbers have no order; pass its parts, .real and .imag",
        path.c_str());
}

void refuse_empty_interval(double low, double high, const std::string& path) {
  const FpEnvironment environment(Rounding::kNearest);  // Python computes the digits
  raise(PyExc_ValueError, "no number of the dtype of %s lies between low=%R and high=%R",
        path.c_str(), py::float_(low).ptr(), py::float_(high).ptr());
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

void refuse_tensor_dtype(PyObject* tensor, dlpack::DataType dtype, const std::string& path) {
  const py::object name = py::getattr(tensor, "dtype", py::none());
  if (!name.is_none()) {
    raise(PyExc_TypeError,
          "%s has dtype %S; gradients must be float16, bfloat16, float32, float64, complex64 or "
          "complex128",
          path.c_str(), name.ptr());
  }
  raise(PyExc_TypeError,
        "%s has DLPack's data type (code %d, bits %d, lanes %d); gradients must be float16, "
        "bfloat16, float32, float64, complex64 or complex128",
        path.c_str(), dtype.code, dtype.bits, dtype.lanes);
}

namespace {

[[noreturn]] void refuse_named_device(PyObject* device, const std::string& path) {
  raise(PyExc_ValueError, "%s is on device %S; gradclip works on CPU memory: move it there first",
        path.c_str(), device);
}

// The device that a tensor says it is on, if that has a type other than "cpu", as in torch.
py::object other_device(PyObject* tensor) {
  py::object device = py::getattr(tensor, "device", py::none());
  const py::object type = py::getattr(device, "type", py::none());
  const bool other =
      PyUnicode_Check(type.ptr()) && PyUnicode_CompareWithASCIIString(type.ptr(), "cpu") != 0;
  return other ? device : py::object(py::none());
}

}  // namespace

void refuse_device(PyObject* tensor, dlpack::Device device, const std::string& path) {
  const py::object named = other_device(tensor);
  if (!named.is_none()) refuse_named_device(named.ptr(), path);
  const std::string text =
      "(DLPack type " + std::to_string(device.type) + ", id " + std::to_string(device.id) + ")";
  refuse_named_device(py::str(text).ptr(), path);
}

void refuse_unreadable(PyObject* tensor, const std::string& path) {
  py::error_already_set error;  // takes it
  if (!error.matches(PyExc_Exception) || error.matches(PyExc_MemoryError)) throw error;
  const py::object device = other_device(tensor);
  if (!device.is_none()) refuse_named_device(device.ptr(), path);
  const std::string message = py::str(error.value());
  const std::string text = path + ", a " + Py_TYPE(tensor)->tp_name +
                           ", does not show its memory: " + message.substr(0, message.find('\n'));
  error.restore();
  py::raise_from(PyExc_TypeError, text.c_str());
  throw PythonError{};
}

void refuse_no_memory(PyObject* tensor, const std::string& path) {
  raise(PyExc_TypeError, "%s, a %s, has no memory of its own that could be read", path.c_str(),
        Py_TYPE(tensor)->tp_name);
}

void refuse_requires_grad(const std::string& path) {
  raise(PyExc_TypeError,
        "%s requires grad, as parameters do, and it is their gradients that are clipped; pass its "
        ".grad, or the parameters to gradclip.torch.clip_grad_norm_",
        path.c_str());
}

void refuse_unversioned(PyObject* tensor, const std::string& path) {
  raise(PyExc_ValueError,
        "%s, a %s, gives a DLPack capsule without a version, which cannot say whether its memory "
        "may be written; pass a writeable NumPy copy, numpy.array(...)",
        path.c_str(), Py_TYPE(tensor)->tp_name);
}

void refuse_copy(PyObject* tensor, const std::string& path) {
  raise(PyExc_ValueError,
        "%s, a %s, shows a copy of its memory, so that what is written would be lost; pass what "
        "owns the memory",
        path.c_str(), Py_TYPE(tensor)->tp_name);
}

void refuse_new_tensor(PyObject* tensor, const std::string& path) {
  raise(PyExc_TypeError,
        "%s is a %s, and functions that return new arrays make NumPy arrays only; pass a copy to "
        "the one that works in place",
        path.c_str(), Py_TYPE(tensor)->tp_name);
}

std::pair<PyObject*, PyObject*> key_and_value(PyObject* item) {
  if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
    raise(PyExc_TypeError, "items() of a dict subclass gave %R, not a (key, value) tuple", item);
  }
  return {PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1)};
}

}  // namespace gradclip
