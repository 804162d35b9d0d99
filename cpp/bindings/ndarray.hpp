// NumPy arrays, read straight from their struct: 20 ns an array, where the buffer protocol takes
// several times that.
#pragma once

#include <pybind11/numpy.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "core/span.hpp"

namespace gradclip {

class NdArray {
 public:
  // Whether an object is an array, of a subclass too.
  static bool check(PyObject* object) noexcept {
    return Py_TYPE(object) == type() || PyType_IsSubtype(Py_TYPE(object), type());
  }
  static bool check_exact(PyObject* object) noexcept { return Py_TYPE(object) == type(); }

  explicit NdArray(PyObject* array) noexcept : array_(pybind11::detail::array_proxy(array)) {}

  std::byte* data() const noexcept { return reinterpret_cast<std::byte*>(array_->data); }
  int ndim() const noexcept { return array_->nd; }
  const Py_ssize_t* shape() const noexcept { return array_->dimensions; }
  const Py_ssize_t* strides() const noexcept { return array_->strides; }
  PyObject* descr() const noexcept { return array_->descr; }
  bool contiguous() const noexcept {
    using Api = pybind11::detail::npy_api;
    return (array_->flags & (Api::NPY_ARRAY_C_CONTIGUOUS_ | Api::NPY_ARRAY_F_CONTIGUOUS_)) != 0;
  }
  bool writeable() const noexcept {
    return (array_->flags & pybind11::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0;
  }
  bool owns_data() const noexcept {
    return (array_->flags & pybind11::detail::npy_api::NPY_ARRAY_OWNDATA_) != 0;
  }
  std::size_t size() const noexcept {
    std::size_t size = 1;
    for (int i = 0; i < ndim(); ++i) size *= static_cast<std::size_t>(shape()[i]);
    return size;
  }
  bool same_shape(NdArray other) const noexcept {
    return std::equal(shape(), shape() + ndim(), other.shape(), other.shape() + other.ndim());
  }
  // Memory of its own, laid out for results of that array.
  bool can_be_written_for(NdArray other) const noexcept {
    return writeable() && owns_data() && same_shape(other) && element() == other.element() &&
           native_byte_order();
  }
  bool native_byte_order() const noexcept {
    constexpr char kOther = std::endian::native == std::endian::little ? '>' : '<';
    return pybind11::detail::array_descriptor_proxy(descr())->byteorder != kOther;
  }
  // None if it is a type the library does not compute with.
  std::optional<Element> element() const noexcept {
    using Api = pybind11::detail::npy_api;
    constexpr int kHalf = 23, kFirstUserType = 256;  // NPY_HALF and NPY_USERDEF
    switch (const int number = pybind11::detail::array_descriptor_proxy(descr())->type_num) {
      case kHalf:
        return Element{DType::kFloat16};
      case Api::NPY_FLOAT_:
        return Element{DType::kFloat32};
      case Api::NPY_DOUBLE_:
        return Element{DType::kFloat64};
      case Api::NPY_CFLOAT_:
        return Element{DType::kFloat32, true};
      case Api::NPY_CDOUBLE_:
        return Element{DType::kFloat64, true};
      default:
        if (number >= kFirstUserType && is_bfloat16()) return Element{DType::kBfloat16};
        return std::nullopt;
    }
  }

 private:
  // Of the dtype that ml_dtypes has registered with NumPy, if the user has imported it.
  bool is_bfloat16() const noexcept;

  static PyTypeObject* type() noexcept {
    static PyTypeObject* const type = pybind11::detail::npy_api::get().PyArray_Type_;
    return type;
  }

  const pybind11::detail::PyArray_Proxy* array_;
};

}  // namespace gradclip
