// What a nesting is not to hold, and the errors that say so and what to do instead.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <utility>

namespace gradclip {

bool is_masked(PyObject* array);

[[noreturn]] void refuse_object(PyObject* object, const std::string& path);
[[noreturn]] void refuse_dtype(PyObject* array, const std::string& path);
[[noreturn]] void refuse_read_only(const std::string& path);
[[noreturn]] void refuse_self_overlap(const std::string& path);
[[noreturn]] void refuse_subclass(PyObject* array, const std::string& path);

// Takes apart what a mapping's items() yields, which may be anything if it is a subclass's.
std::pair<PyObject*, PyObject*> key_and_value(PyObject* item);

}  // namespace gradclip
