#include "bindings/torch.hpp"

#include <array>
#include <limits>
#include <memory>

#include "bindings/errors.hpp"
#include "bindings/tensor.hpp"
#include "core/float_bits.hpp"
#include "core/fp_environment.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

// torch.Tensor, once torch is imported; it stays.
PyTypeObject* tensor_type() noexcept {
  static PyTypeObject* type = nullptr;
  if (type != nullptr) return type;
  PyObject* const module = PyDict_GetItemString(PyImport_GetModuleDict(), "torch");  // borrowed
  if (module == nullptr || !PyModule_Check(module)) return nullptr;
  PyObject* const tensor = PyDict_GetItemString(PyModule_GetDict(module), "Tensor");
  if (tensor == nullptr || !PyType_Check(tensor)) return nullptr;
  return type = reinterpret_cast<PyTypeObject*>(Py_NewRef(tensor));
}

struct Names {
  py::object parameter;
  const dlpack::ExchangeApi* exchange_api;
  py::object scalar_tensor;
  py::tuple scalar_keywords;
  std::array<py::object, kDTypeCount> dtypes;
  py::object cpu;  // a device: its name would be parsed for 100 ns
  py::object is_inference_mode_enabled;
  py::object increment_version;
  py::object to_dlpack;
  py::object function_modes;
};

const Names& names() {
  PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<Names> storage;
  const auto look_up = [] {
    const py::module_ torch = py::module_::import("torch");
    static_assert(kDTypeCount == 4, "each dtype has its name in torch here");
    return Names{torch.attr("nn").attr("Parameter"),
                 exchange_api(tensor_type()),
                 torch.attr("scalar_tensor"),
                 py::make_tuple("dtype", "device"),
                 {torch.attr("float16"), torch.attr("bfloat16"), torch.attr("float32"),
                  torch.attr("float64")},
                 torch.attr("device")("cpu"),
                 torch.attr("is_inference_mode_enabled"),
                 // What torch.autograd.graph.increment_version calls, without a Python frame.
                 torch.attr("_C").attr("_increment_version"),
                 torch.attr("utils").attr("dlpack").attr("to_dlpack"),
                 torch.attr("_C").attr("_len_torch_function_stack")};
  };
  return storage.call_once_and_store_result(look_up).get_stored();
}

// Memory of one number, for a tensor to own.
template <class Number>
struct Scalar {
  dlpack::ManagedVersioned managed;
  Number number;
};

// torch.scalar_tensor takes 1.4 µs more: without it, a call for one small gradient takes 1.9 µs.
template <class Number>
py::object scalar_of(Number number, const dlpack::ExchangeApi& api) {
  constexpr dlpack::DataType dtype{dlpack::kFloat, 8 * sizeof(Number), 1};
  auto scalar = std::make_unique<Scalar<Number>>();
  scalar->number = number;
  scalar->managed.version = {dlpack::kMajorVersion, 0};
  scalar->managed.manager = scalar.get();
  scalar->managed.deleter = [](dlpack::ManagedVersioned* managed) {
    delete static_cast<Scalar<Number>*>(managed->manager);
  };
  scalar->managed.tensor = {&scalar->number, {dlpack::kCpu, 0}, 0, dtype, nullptr, nullptr, 0};
  void* tensor = nullptr;
  // If that fails, it may have been taken all the same: rather lost than freed twice.
  if (api.import_managed(&scalar.release()->managed, &tensor) != 0) throw PythonError{};
  return checked(static_cast<PyObject*>(tensor));
}

// Rounded where the mode says so: between two volatile accesses, which the compiler leaves there.
float to_float32(double value) noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  const volatile double wide = value;
  const volatile float narrow = static_cast<float>(wide);
  return narrow;
}

}  // namespace

bool is_torch_tensor(PyTypeObject* type) noexcept {
  PyTypeObject* const tensor = tensor_type();
  return tensor != nullptr && PyType_IsSubtype(type, tensor) != 0;
}

bool is_plain_torch_tensor(PyTypeObject* type) {
  return type == tensor_type() || reinterpret_cast<PyObject*>(type) == names().parameter.ptr();
}

py::object torch_scalar(double value, DType dtype) {
  static_assert(kDTypeCount == 4, "each dtype has here what rounds to infinity");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kOverflow[] = {65520.0, 0x1.ffp127, 0x1.ffffffp127, kInfinity};
  const Names& torch = names();
  if (const dlpack::ExchangeApi* const api = torch.exchange_api; api && api->import_managed) {
    if (dtype == DType::kFloat32) return scalar_of(to_float32(value), *api);
    if (dtype == DType::kFloat64) return scalar_of(value, *api);
  }
  // torch 2.6 refuses to round that far.
  const bool overflows =
      is_finite(value) && magnitude_bits(value) >= magnitude_bits(kOverflow[index(dtype)]);
  const py::float_ number(overflows ? kInfinity : value);
  const FpEnvironment environment(Rounding::kNearest);  // a subnormal norm is not 0
  PyObject* const arguments[] = {number.ptr(), torch.dtypes[index(dtype)].ptr(), torch.cpu.ptr()};
  return checked(
      PyObject_Vectorcall(torch.scalar_tensor.ptr(), arguments, 1, torch.scalar_keywords.ptr()));
}

py::object torch_capsule(PyObject* tensor) {
  return checked(PyObject_CallOneArg(names().to_dlpack.ptr(), tensor));
}

py::object torch_tensor(const py::object& array) {
  return py::module_::import("torch").attr("from_numpy")(array);
}

bool torch_function_mode() {
  return PyLong_AsLong(checked(PyObject_CallNoArgs(names().function_modes.ptr())).ptr()) != 0;
}

bool torch_inference_mode() {
  return checked(PyObject_CallNoArgs(names().is_inference_mode_enabled.ptr())).ptr() == Py_True;
}

// Told by its having no version; asking it costs twice as much.
bool is_inference_tensor(PyObject* tensor, Attribute& attribute) {
  PyObject* const version = attribute.read(tensor);
  Py_XDECREF(version);
  if (version != nullptr) return false;
  if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) throw PythonError{};
  PyErr_Clear();
  return true;
}

void increment_versions(const py::list& tensors) {
  checked(PyObject_CallOneArg(names().increment_version.ptr(), tensors.ptr()));
}

}  // namespace gradclip
