#include "bindings/tensor.hpp"

#include <string>
#include <utility>

#include "bindings/attribute.hpp"
#include "bindings/call_python.hpp"
#include "bindings/errors.hpp"
#include "bindings/torch.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

using Writeable = TensorMemory::Writeable;

// Null if the type has no such attribute.
py::object attribute_of(PyTypeObject* type, PyObject* name) {
  PyObject* const found = PyObject_GetAttr(reinterpret_cast<PyObject*>(type), name);
  if (found == nullptr) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) throw PythonError{};
    PyErr_Clear();
  }
  return py::reinterpret_steal<py::object>(found);
}

// A capsule that nobody takes the tensor out of frees it when it dies.
void free_managed(PyObject* capsule) {
  auto* const managed =
      static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(capsule, dlpack::kVersionedName));
  if (managed->deleter != nullptr) managed->deleter(managed);
}

py::object exported(PyObject* tensor, const dlpack::ExchangeApi& api) {
  dlpack::ManagedVersioned* managed = nullptr;
  if (api.export_managed(tensor, &managed) != 0) throw PythonError{};
  PyObject* const capsule = PyCapsule_New(managed, dlpack::kVersionedName, free_managed);
  if (capsule == nullptr && managed != nullptr && managed->deleter != nullptr) {
    const py::error_scope error;
    managed->deleter(managed);
  }
  return checked(capsule);
}

// Null if it raises.
py::object call(const py::object& method, py::handle keywords = {}) {
  return py::reinterpret_steal<py::object>(call_python(
      [&] { return PyObject_VectorcallDict(method.ptr(), nullptr, 0, keywords.ptr()); }));
}

// What a tensor's __dlpack__ gives: memory on the device it says it is on.
py::object exported(py::handle tensor) {
  const py::object method = tensor.attr("__dlpack__");
  using py::literals::operator""_a;
  const py::dict version("max_version"_a = py::make_tuple(dlpack::kMajorVersion, 2));
  for (const py::handle keywords : {py::handle(version), py::handle()}) {
    if (py::object capsule = call(method, keywords)) return capsule;
    // From before DLPack 1.0, without that argument.
    if (!keywords || PyErr_ExceptionMatches(PyExc_TypeError) == 0) break;
    PyErr_Clear();
  }
  throw py::error_already_set();
}

// Throws a C++ exception, not PythonError: the capsule must not be freed while an error is set.
TensorMemory in_capsule(const py::object& capsule) {
  if (PyCapsule_IsValid(capsule.ptr(), dlpack::kVersionedName) != 0) {
    const auto* const managed = static_cast<dlpack::ManagedVersioned*>(
        PyCapsule_GetPointer(capsule.ptr(), dlpack::kVersionedName));
    if (managed->version.major != dlpack::kMajorVersion) {
      const auto [major, minor] = managed->version;
      throw py::buffer_error("its DLPack version is " + std::to_string(major) + "." +
                             std::to_string(minor) + ", not 1.x");
    }
    const auto flagged = [managed](std::uint64_t flag) { return (managed->flags & flag) != 0; };
    if (flagged(dlpack::kReadOnly)) return {managed->tensor, Writeable::kNo, capsule};
    const bool copy = flagged(dlpack::kIsCopied);
    return {managed->tensor, copy ? Writeable::kCopy : Writeable::kYes, capsule};
  }
  if (PyCapsule_IsValid(capsule.ptr(), dlpack::kUnversionedName) != 0) {
    const auto* const managed = static_cast<dlpack::Managed*>(
        PyCapsule_GetPointer(capsule.ptr(), dlpack::kUnversionedName));
    return {managed->tensor, Writeable::kUnknown, capsule};
  }
  throw py::buffer_error("its __dlpack__ gave " + std::string(py::repr(capsule)) +
                         ", which is no DLPack capsule");
}

std::int32_t to_int32(const py::object& object) {
  const long number = PyLong_AsLong(object.ptr());
  if (number == -1 && PyErr_Occurred() != nullptr) throw PythonError{};
  if (!std::in_range<std::int32_t>(number)) throw py::buffer_error("no such device");
  return static_cast<std::int32_t>(number);
}

// Other devices' libraries would wait for them, or copy, before they give memory of no use here.
std::optional<dlpack::Device> device_elsewhere(py::handle tensor) {
  if (!py::hasattr(tensor, "__dlpack_device__")) return std::nullopt;
  py::object found = call(tensor.attr("__dlpack_device__"));
  if (!found) throw py::error_already_set();
  const auto device = py::tuple(std::move(found));
  const dlpack::Device result{to_int32(device[0]), to_int32(device[1])};
  if (result.type == dlpack::kCpu) return std::nullopt;
  return result;
}

}  // namespace

std::size_t TensorMemory::size() const noexcept {
  std::size_t size = 1;
  for (int i = 0; i < tensor.ndim; ++i) size *= static_cast<std::size_t>(tensor.shape[i]);
  return size;
}

bool TensorMemory::contiguous() const noexcept {
  if (tensor.strides == nullptr) return true;
  std::int64_t stride = 1;
  for (int i = tensor.ndim - 1; i >= 0; --i) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != stride) return false;
    stride *= tensor.shape[i];
  }
  return true;
}

std::optional<Element> TensorMemory::element() const noexcept {
  if (tensor.dtype.lanes != 1) return std::nullopt;
  const auto is = [this](std::uint8_t code, std::uint8_t bits) {
    return tensor.dtype.code == code && tensor.dtype.bits == bits;
  };
  if (is(dlpack::kFloat, 32)) return Element{DType::kFloat32};
  if (is(dlpack::kFloat, 64)) return Element{DType::kFloat64};
  if (is(dlpack::kFloat, 16)) return Element{DType::kFloat16};
  if (is(dlpack::kBfloat, 16)) return Element{DType::kBfloat16};
  if (is(dlpack::kComplex, 64)) return Element{DType::kFloat32, true};
  if (is(dlpack::kComplex, 128)) return Element{DType::kFloat64, true};
  return std::nullopt;
}

const dlpack::ExchangeApi* exchange_api(PyTypeObject* type) {
  static PyObject* const name = interned(dlpack::kExchangeApiAttribute);
  // What it holds is static, by the specification: the capsule need not live.
  const py::object capsule = attribute_of(type, name);
  if (!capsule || PyCapsule_IsValid(capsule.ptr(), dlpack::kExchangeApiName) == 0) return nullptr;
  const auto* header = static_cast<const dlpack::ExchangeApiHeader*>(
      PyCapsule_GetPointer(capsule.ptr(), dlpack::kExchangeApiName));
  while (header != nullptr && header->version.major != dlpack::kMajorVersion) {
    header = header->previous;
  }
  return reinterpret_cast<const dlpack::ExchangeApi*>(header);
}

TensorType::TensorType(PyTypeObject* type)
    : type_(type), api_(exchange_api(type)), of_torch_(is_torch_tensor(type)) {
  static PyObject* const name = interned("__dlpack__");
  dlpack_ = api_ == nullptr && attribute_of(type, name);
}

TensorMemory TensorType::memory(PyObject* tensor, bool to_write) const {
  if (describes(to_write)) {
    TensorMemory memory;
    if (api_->describe(tensor, &memory.tensor) != 0) throw PythonError{};
    return memory;
  }
  if (api_ != nullptr) return in_capsule(exported(tensor, *api_));
  if (of_torch_) {
    // Older than the exchange API. Its __dlpack__ refuses what autograd tracks, and takes longer.
    TensorMemory memory = in_capsule(torch_capsule(tensor));
    memory.writeable = Writeable::kYes;
    return memory;
  }
  if (const auto device = device_elsewhere(tensor)) {
    TensorMemory memory{};
    memory.tensor.device = *device;
    return memory;
  }
  return in_capsule(exported(py::handle(tensor)));
}

}  // namespace gradclip
