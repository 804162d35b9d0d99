#include "bindings/leaves.hpp"

#include <algorithm>
#include <optional>

#include "bindings/call_python.hpp"
#include "bindings/errors.hpp"
#include "bindings/refusals.hpp"
#include "bindings/torch.hpp"
#include "core/float_bits.hpp"
#include "core/fp_environment.hpp"
#include "core/overlap.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

// Fetches the structs of arrays to come: they lie anywhere.
void prefetch(PyObject* list, Py_ssize_t i) {
  if (i >= PyList_GET_SIZE(list)) return;
  const char* object = reinterpret_cast<const char*>(PyList_GET_ITEM(list, i));
  __builtin_prefetch(object);
  __builtin_prefetch(object + 64);
}

// Without code of others: equal objects of other types than str may be taken for different.
bool same_key(PyObject* a, PyObject* b) {
  return a == b ||
         (PyUnicode_CheckExact(a) && PyUnicode_CheckExact(b) && PyUnicode_Compare(a, b) == 0);
}

}  // namespace

// Delegates, so that the destructor runs when the walk throws.
Leaves::Leaves(PyObject* grads, Access access, Reading reading) : Leaves(access, reading) {
  if (PyList_Check(grads)) {
    const auto size = static_cast<std::size_t>(PyList_GET_SIZE(grads));
    places_.reserve(size);
    spans_.reserve(size);
    arrays_.reserve(size);
  }
  visit(grads, {-1, {0}}, 0);
  if (ran_code_) check_unchanged("reading another array", false);
  if (!in_place()) return;
  if (const auto pair = overlapping_pair(spans_)) {
    raise(PyExc_ValueError,
          "%s and %s share memory, which would be scaled twice; pass each array once, or a copy",
          path(pair->first).c_str(), path(pair->second).c_str());
  }
}

Leaves::~Leaves() {
  const py::error_scope error;  // kept from what runs when the last reference to an export goes
  for (PyObject* array : arrays_) Py_DECREF(array);
  for (PyObject* object : held_) Py_DECREF(object);
}

void Leaves::visit(PyObject* object, Place place, int depth) {
  if (tensor_type_.is(Py_TYPE(object))) return add_tensor(object, place);
  if (NdArray::check(object)) return add(object, place);
  if (object == Py_None) {
    if (reading_.axes) nones_.push_back(place);
    return;
  }
  if (!PyList_Check(object) && !PyTuple_Check(object) && !PyDict_Check(object)) {
    hold(object);
    PyTypeObject* const type = Py_TYPE(object);
    hold(reinterpret_cast<PyObject*>(type));
    const TensorType tensor_type(type);
    if (!tensor_type) refuse_object(object, path(place));
    ran_code_ |= !arrays_.empty();  // a metaclass finds attributes as it likes
    tensor_type_ = tensor_type;
    tensor_types_.push_back({arrays_.size(), tensor_type});
    return add_tensor(object, place);
  }
  if (depth == kMaxDepth) {
    raise(PyExc_ValueError, "%s is nested more than %d levels deep; does it contain itself?",
          reading_.name, kMaxDepth);
  }
  visit_container(object, place, depth + 1);
}

void Leaves::visit_container(PyObject* container, Place place, int depth) {
  const auto here = static_cast<std::ptrdiff_t>(containers_.size());
  containers_.push_back({place, PyDict_Check(container) != 0});
  hold(container);
  if (PyDict_Check(container)) return visit_items_of(container, here, depth);
  // The size is read again each time: code that runs meanwhile may change a list.
  if (PyList_Check(container)) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(container); ++i) {
      prefetch(container, i + 8);
      visit(PyList_GET_ITEM(container, i), {here, {i}}, depth);
    }
  } else {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(container); ++i) {
      visit(PyTuple_GET_ITEM(container, i), {here, {i}}, depth);
    }
  }
}

void Leaves::visit_items_of(PyObject* mapping, std::ptrdiff_t container, int depth) {
  const auto visit_item = [&](PyObject* key, PyObject* value) {
    Place place{container, {}};
    place.key = key;
    hold(key);
    visit(value, place, depth);
  };
  if (PyDict_CheckExact(mapping)) {
    PyObject *key = nullptr, *value = nullptr;
    for (Py_ssize_t next = 0; PyDict_Next(mapping, &next, &key, &value);) visit_item(key, value);
    return;
  }
  // A subclass may keep an order of its own, as OrderedDict does.
  ran_code_ = true;
  const py::object items = checked(call_python([mapping] { return PyMapping_Items(mapping); }));
  hold(items.ptr());
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.ptr()); ++i) {
    const auto [key, value] = key_and_value(PyList_GET_ITEM(items.ptr(), i));
    visit_item(key, value);
  }
}

Element Leaves::element_of(PyObject* object, Place place) {
  const NdArray array(object);
  const std::optional<Element> element = array.element();
  if (!element || !array.native_byte_order() || is_masked(object)) {
    refuse_dtype(object, path(place));
  }
  if (element->pair && reading_.reals_only) refuse_order_of_complex(path(place));
  hold(last_descr_ = array.descr());
  return last_element_ = *element;
}

void Leaves::add(PyObject* object, Place place) {
  arrays_.push_back(Py_NewRef(object));
  places_.push_back(place);
  const NdArray array(object);
  const bool like_the_last = array.descr() == last_descr_ && NdArray::check_exact(object);
  const Element element = like_the_last ? last_element_ : element_of(object, place);
  if (in_place() && !array.writeable()) refuse_read_only(path(place));
  if (access_ != Access::kFresh && !reading_.axes && array.contiguous()) {  // most arrays
    return spans_.add_contiguous(array.data(), array.data(), array.size(), element);
  }
  PyObject* const out = access_ == Access::kFresh ? fresh_like(object, element) : object;
  add_span(spans_, array, NdArray(out), element);
  if (reading_.axes) {
    layouts_.push_back({array.data(), NdArray(out).data(), axes_of(array, NdArray(out))});
  }
  refuse_overlap_in_last();
}

void Leaves::add_tensor(PyObject* object, Place place) {
  arrays_.push_back(Py_NewRef(object));
  places_.push_back(place);
  if (access_ == Access::kFresh) refuse_new_tensor(object, path(place));
  ran_code_ |= !tensor_type_.describes(in_place());
  if (tensor_type_.of_torch()) {
    const bool plain = is_plain_torch_tensor(Py_TYPE(object));
    ran_code_ |= in_place() && !plain;
    only_plain_ &= plain;
    torch_leaves_.push_back(arrays_.size() - 1);
    if (is_weight(object, tensor_type_)) refuse_requires_grad(path(place));
  }
  const TensorMemory memory = memory_of(object, tensor_type_, place);
  if (memory.owner) hold(memory.owner.ptr());
  check_memory(object, memory, place);
  add_span(spans_, memory, *memory.element());
  if (reading_.axes) {
    layouts_.push_back({memory.data(), memory.data(), axes_of(memory, *memory.element())});
  }
  refuse_overlap_in_last();
}

TensorMemory Leaves::memory_of(PyObject* object, const TensorType& type, Place place) const {
  try {
    return type.memory(object, in_place());
  } catch (const PythonError&) {
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::buffer_error& error) {
    PyErr_SetString(PyExc_BufferError, error.what());
  }
  refuse_unreadable(object, path(place));
}

void Leaves::check_memory(PyObject* object, const TensorMemory& memory, Place place) const {
  using Writeable = TensorMemory::Writeable;
  const dlpack::Tensor& tensor = memory.tensor;
  if (tensor.device.type != dlpack::kCpu) refuse_device(object, tensor.device, path(place));
  if (!memory.element()) refuse_tensor_dtype(object, tensor.dtype, path(place));
  if (memory.element()->pair && reading_.reals_only) refuse_order_of_complex(path(place));
  // As with fake and functional tensors, and where a storage was freed.
  if (tensor.data == nullptr && memory.size() != 0) refuse_no_memory(object, path(place));
  if (in_place() && memory.writeable == Writeable::kNo) refuse_read_only(path(place));
  if (in_place() && memory.writeable == Writeable::kUnknown) {
    refuse_unversioned(object, path(place));
  }
  if (in_place() && memory.writeable == Writeable::kCopy) refuse_copy(object, path(place));
}

PyObject* Leaves::requires_grad_name() {
  static PyObject* const name = interned("requires_grad");
  return name;
}

// Whether it requires grad where gradients are to be written.
bool Leaves::is_weight(PyObject* tensor, const TensorType& type) const {
  return access_ == Access::kInPlace && type.of_torch() &&
         requires_grad_.of(tensor).ptr() != Py_False;
}

// Of the array that was added last.
void Leaves::refuse_overlap_in_last() const {
  const Span& span = spans_[spans_.size() - 1];
  if (in_place() && !span.contiguous() && overlaps_itself(spans_, span)) {
    refuse_self_overlap(path(places_.back()));
  }
}

PyObject* Leaves::fresh_like(PyObject* object, Element element) {
  const py::object fresh = py::module_::import("numpy").attr("empty_like")(py::handle(object));
  // A subclass decides what it is like, and may change the array itself meanwhile.
  const NdArray array(object);
  if (!NdArray::check(fresh.ptr()) || Py_REFCNT(fresh.ptr()) != 1 ||
      !NdArray(fresh.ptr()).can_be_written_for(array) || array.element() != element ||
      !array.native_byte_order()) {
    refuse_subclass(object, path(places_.back()));
  }
  hold(fresh.ptr());
  fresh_.push_back(fresh.ptr());
  return fresh.ptr();
}

void Leaves::add_span(SpanList& spans, NdArray array, NdArray out, Element element) {
  if (array.contiguous()) {
    return spans.add_contiguous(array.data(), out.data(), array.size(), element);
  }
  std::vector<Axis> axes = axes_of(array, out);
  spans.add_strided(array.data(), out.data(), axes, element);
}

std::vector<Axis> Leaves::axes_of(NdArray array, NdArray out) {
  std::vector<Axis> axes;
  for (int i = 0; i < array.ndim(); ++i) {
    axes.push_back(
        {static_cast<std::size_t>(array.shape()[i]), array.strides()[i], out.strides()[i]});
  }
  return axes;
}

void Leaves::add_span(SpanList& spans, const TensorMemory& memory, Element element) {
  if (memory.contiguous()) {
    return spans.add_contiguous(memory.data(), memory.data(), memory.size(), element);
  }
  std::vector<Axis> axes = axes_of(memory, element);
  spans.add_strided(memory.data(), memory.data(), axes, element);
}

std::vector<Axis> Leaves::axes_of(const TensorMemory& memory, Element element) {
  std::vector<Axis> axes;
  const auto item = static_cast<std::ptrdiff_t>(element.bytes());
  std::ptrdiff_t stride = item;  // without strides it is in C order
  for (int i = memory.tensor.ndim; i-- > 0;) {
    const auto extent = static_cast<std::size_t>(memory.tensor.shape[i]);
    if (memory.tensor.strides != nullptr) stride = memory.tensor.strides[i] * item;
    axes.insert(axes.begin(), {extent, stride, stride});
    stride *= static_cast<std::ptrdiff_t>(extent);
  }
  return axes;
}

void Leaves::refuse_inference_tensors() const {
  if (torch_leaves_.empty() || !in_place() || torch_inference_mode()) return;
  static PyObject* const name = interned("_version");
  Attribute version(name);
  for (const std::size_t leaf : torch_leaves_) {
    if (!is_inference_tensor(arrays_[leaf], version)) continue;
    raise(PyExc_RuntimeError,
          "Inplace update to inference tensor outside InferenceMode is not allowed: %s is one; "
          "clone() it",
          path(leaf).c_str());
  }
}

void Leaves::announce_write() const {
  if (torch_leaves_.empty() || !in_place()) return;
  refuse_inference_tensors();
  const py::list tensors(torch_leaves_.size());
  Py_ssize_t next = 0;
  for (const std::size_t leaf : torch_leaves_) {
    PyList_SET_ITEM(tensors.ptr(), next++, Py_NewRef(arrays_[leaf]));
  }
  increment_versions(tensors);
  if (!only_plain_ || torch_function_mode()) check_unchanged("an attribute of a tensor", false);
}

void Leaves::check_representable(double value, const char* name) const {
  constexpr double kFloat32Overflow = 0x1.ffffffp127;  // rounds to infinity, and so do larger ones
  if (magnitude_bits(value) < magnitude_bits(kFloat32Overflow)) return;
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    if (spans_[i].dtype() != DType::kFloat64) {
      const FpEnvironment environment(Rounding::kNearest);  // Python computes the digits
      raise(PyExc_ValueError, "%s=%R is too large for float32, the compute type of %s", name,
            py::float_(value).ptr(), path(i).c_str());
    }
  }
}

std::string Leaves::place_in_nesting(Place place) const {
  if (place.container < 0) return "";
  const Container& container = containers_[static_cast<std::size_t>(place.container)];
  const std::string item =
      container.mapping ? std::string(py::repr(place.key)) : std::to_string(place.index);
  return place_in_nesting(container.place) + "[" + item + "]";
}

bool Leaves::is_none_at(const std::string& place) const {
  return std::ranges::any_of(nones_, [&](Place none) { return place_in_nesting(none) == place; });
}

bool Leaves::is_torch_tensor(std::size_t leaf) const noexcept {
  return std::ranges::find(torch_leaves_, leaf) != torch_leaves_.end();
}

bool Leaves::same_place(std::size_t leaf, const Leaves& other, std::size_t other_leaf) const {
  Place a = places_[leaf], b = other.places_[other_leaf];
  while (a.container >= 0 && b.container >= 0) {
    const Container& in_a = containers_[static_cast<std::size_t>(a.container)];
    const Container& in_b = other.containers_[static_cast<std::size_t>(b.container)];
    if (in_a.mapping != in_b.mapping) return false;
    if (in_a.mapping ? !same_key(a.key, b.key) : a.index != b.index) return false;
    a = in_a.place;
    b = in_b.place;
  }
  return a.container == b.container;
}

}  // namespace gradclip
