// The public functions, by subject; each table ends with an empty entry.
#pragma once

#include <pybind11/pybind11.h>

namespace gradclip {

PyMethodDef* norm_functions();
PyMethodDef* clip_functions();
PyMethodDef* scale_functions();
PyMethodDef* unit_functions();
PyMethodDef* value_functions();
PyMethodDef* example_functions();
PyMethodDef* update_functions();
PyMethodDef* stats_functions();
PyMethodDef* thread_functions();
PyMethodDef* torch_functions();

}  // namespace gradclip
