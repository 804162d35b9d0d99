#include "bindings/ndarray.hpp"

namespace gradclip {

bool NdArray::is_bfloat16() const noexcept {
  const auto* const descr = pybind11::detail::array_descriptor_proxy(this->descr());
  static int number = -1;  // once it is known; types stay registered
  if (number >= 0) return descr->type_num == number;
  PyObject* const module = PyDict_GetItemString(PyImport_GetModuleDict(), "ml_dtypes");
  if (module == nullptr || !PyModule_Check(module)) return false;
  if (PyDict_GetItemString(PyModule_GetDict(module), "bfloat16") != descr->typeobj) return false;
  const auto dtype = pybind11::reinterpret_borrow<pybind11::dtype>(this->descr());
  if (dtype.itemsize() != sizeof(Bfloat16)) return false;  // another module of that name
  number = descr->type_num;
  return true;
}

}  // namespace gradclip
