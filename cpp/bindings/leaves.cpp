#include "bindings/leaves.hpp"

#include <cmath>

#include "bindings/errors.hpp"
#include "core/overlap.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

constexpr int kMaxDepth = 100;

// numpy.ma may not be imported; then there are no masked arrays.
bool is_masked(PyObject* array) {
  if (NdArray::check_exact(array)) return false;
  PyObject* const module = PyDict_GetItemString(PyImport_GetModuleDict(), "numpy.ma");  // borrowed
  if (module == nullptr) return false;
  return PyObject_IsInstance(array, py::handle(module).attr("MaskedArray").ptr()) == 1;
}

// Fetches the structs of arrays to come: they lie anywhere, and reading them is all that is done.
void prefetch(PyObject* list, Py_ssize_t i) {
  if (i >= PyList_GET_SIZE(list)) return;
  const char* object = reinterpret_cast<const char*>(PyList_GET_ITEM(list, i));
  __builtin_prefetch(object);
  __builtin_prefetch(object + 64);
}

[[noreturn]] void refuse_object(PyObject* object, const std::string& path) {
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

[[noreturn]] void refuse_dtype(PyObject* object, const std::string& path) {
  const NdArray array(object);
  if (is_masked(object)) {
    raise(PyExc_TypeError, "%s is a masked array of dtype %S; pass its .data, or .filled(0)",
          path.c_str(), array.descr());
  }
  if (!array.dtype()) {
    raise(PyExc_TypeError,
          "%s has dtype %S; gradients must be float32 or float64 (.astype() converts a copy)",
          path.c_str(), array.descr());
  }
  raise(PyExc_TypeError,
        "%s has dtype %S, which is not in native byte order; convert it with .astype('=f%zu')",
        path.c_str(), array.descr(), item_size(*array.dtype()));
}

}  // namespace

// Delegates, so that the destructor runs when the walk throws.
Leaves::Leaves(PyObject* grads, Access access) : Leaves(access) {
  if (PyList_Check(grads)) {
    leaves_.reserve(static_cast<std::size_t>(PyList_GET_SIZE(grads)));
    spans_.reserve(static_cast<std::size_t>(PyList_GET_SIZE(grads)));
  }
  visit(grads, {-1, nullptr, 0}, 0);
  if (access == Access::kInPlace) check_overlap();
}

Leaves::~Leaves() {
  for (const Leaf& leaf : leaves_) {
    Py_XDECREF(leaf.place.key);
    Py_DECREF(leaf.array);
    Py_XDECREF(leaf.fresh);
  }
  for (const Place& place : containers_) Py_XDECREF(place.key);
}

void Leaves::visit(PyObject* object, const Place& place, int depth) {
  if (NdArray::check(object)) return add(object, place);
  if (object == Py_None) return;
  if (!PyList_Check(object) && !PyTuple_Check(object) && !PyDict_Check(object)) {
    refuse_object(object, path(place));
  }
  if (depth == kMaxDepth) {
    raise(PyExc_ValueError, "grads is nested more than %d levels deep; does it contain itself?",
          kMaxDepth);
  }
  visit_items(object, place, depth + 1);
}

void Leaves::visit_items(PyObject* container, const Place& place, int depth) {
  const auto here = static_cast<std::ptrdiff_t>(containers_.size());
  containers_.push_back(place);
  Py_XINCREF(place.key);
  if (PyDict_Check(container)) return visit_pairs(container, here, depth);
  // The size is read again each time: code that runs meanwhile may change a list.
  if (PyList_Check(container)) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(container); ++i) {
      prefetch(container, i + 8);
      visit(PyList_GET_ITEM(container, i), {here, nullptr, i}, depth);
    }
  } else {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(container); ++i) {
      visit(PyTuple_GET_ITEM(container, i), {here, nullptr, i}, depth);
    }
  }
}

void Leaves::visit_pairs(PyObject* mapping, std::ptrdiff_t container, int depth) {
  if (PyDict_CheckExact(mapping)) {
    PyObject *key = nullptr, *value = nullptr;
    for (Py_ssize_t next = 0; PyDict_Next(mapping, &next, &key, &value);) {
      visit(value, {container, key, 0}, depth);
    }
    return;
  }
  // A subclass may keep an order of its own, as OrderedDict does.
  const py::object items = checked(PyMapping_Items(mapping));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.ptr()); ++i) {
    PyObject* const pair = PyList_GET_ITEM(items.ptr(), i);
    visit(PyTuple_GET_ITEM(pair, 1), {container, PyTuple_GET_ITEM(pair, 0), 0}, depth);
  }
}

void Leaves::add(PyObject* object, const Place& place) {
  const NdArray array(object);
  const std::optional<DType> dtype = array.dtype();
  if (!dtype || !array.native_byte_order() || is_masked(object)) {
    refuse_dtype(object, path(place));
  }
  if (access_ == Access::kInPlace && !array.writeable()) {
    raise(PyExc_ValueError,
          "%s is read-only; pass a writeable array (.copy()), or call a function that returns "
          "new ones, such as clip_by_global_norm",
          path(place).c_str());
  }
  py::object fresh;
  if (access_ == Access::kFresh) {
    fresh = py::module_::import("numpy").attr("empty_like")(py::handle(object));
  }
  const NdArray out(fresh ? fresh.ptr() : object);
  if (array.contiguous()) {
    spans_.add_contiguous(array.data(), out.data(), array.size(), *dtype);
  } else {
    add_strided(array, out, *dtype, place);
  }
  leaves_.push_back({place, object, fresh.ptr()});
  fresh.release();
  Py_INCREF(object);
  Py_XINCREF(place.key);
}

void Leaves::add_strided(const NdArray& array, const NdArray& out, DType dtype,
                         const Place& place) {
  axes_.clear();
  for (int i = 0; i < array.ndim(); ++i) {
    axes_.push_back(
        {static_cast<std::size_t>(array.shape()[i]), array.strides()[i], out.strides()[i]});
  }
  spans_.add_strided(array.data(), out.data(), axes_, dtype);
  if (access_ == Access::kInPlace && overlaps_itself(spans_, spans_[spans_.size() - 1])) {
    raise(PyExc_ValueError,
          "%s overlaps itself: elements share memory, as after broadcast_to; pass a copy",
          path(place).c_str());
  }
}

void Leaves::check_overlap() const {
  if (const auto pair = overlapping_pair(spans_)) {
    raise(PyExc_ValueError,
          "%s and %s share memory, which would be scaled twice; pass each array once, or a copy",
          path(pair->first).c_str(), path(pair->second).c_str());
  }
}

void Leaves::check_representable(double value, const char* name) const {
  constexpr double kFloat32Overflow = 0x1.ffffffp127;  // rounds to infinity, and so do larger ones
  if (std::fabs(value) < kFloat32Overflow) return;
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    if (spans_[i].dtype == DType::kFloat32) {
      raise(PyExc_ValueError, "%s=%R is too large for float32, the compute type of %s", name,
            py::float_(value).ptr(), path(i).c_str());
    }
  }
}

std::string Leaves::path(std::size_t leaf) const { return path(leaves_[leaf].place); }

std::string Leaves::path(const Place& place) const {
  if (place.container < 0) return "grads";
  const std::string item =
      place.key == nullptr ? std::to_string(place.index) : std::string(py::repr(place.key));
  return path(containers_[static_cast<std::size_t>(place.container)]) + "[" + item + "]";
}

}  // namespace gradclip
