// What a nesting is not to hold, and the errors that say so and what to do instead.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <utility>

#include "bindings/dlpack.hpp"

namespace gradclip {

bool is_masked(PyObject* array);

[[noreturn]] void refuse_object(PyObject* object, const std::string& path);
[[noreturn]] void refuse_dtype(PyObject* array, const std::string& path);
[[noreturn]] void refuse_order_of_complex(const std::string& path);
[[noreturn]] void refuse_empty_interval(double low, double high, const std::string& path);
[[noreturn]] void refuse_read_only(const std::string& path);
[[noreturn]] void refuse_self_overlap(const std::string& path);

[[noreturn]] void refuse_tensor_dtype(PyObject* tensor, dlpack::DataType dtype,
                                      const std::string& path);
[[noreturn]] void refuse_device(PyObject* tensor, dlpack::Device device, const std::string& path);
// For the Python error that is set: why the library does not show the tensor's memory.
[[noreturn]] void refuse_unreadable(PyObject* tensor, const std::string& path);
[[noreturn]] void refuse_no_memory(PyObject* tensor, const std::string& path);
[[noreturn]] void refuse_requires_grad(const std::string& path);
[[noreturn]] void refuse_unversioned(PyObject* tensor, const std::string& path);
[[noreturn]] void refuse_copy(PyObject* tensor, const std::string& path);
[[noreturn]] void refuse_new_tensor(PyObject* tensor, const std::string& path);

[[noreturn]] void refuse_subclass(PyObject* array, const std::string& path);

// Takes apart what a mapping's items() yields, which may be anything if it is a subclass's.
std::pair<PyObject*, PyObject*> key_and_value(PyObject* item);

}  // namespace gradclip
