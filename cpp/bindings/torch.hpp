// What is used of torch. It is looked up when a tensor comes along, and never imported for itself.
#pragma once

#include <pybind11/pybind11.h>

#include "bindings/attribute.hpp"
#include "core/span.hpp"

namespace gradclip {

// torch.Tensor or a subclass of it.
bool is_torch_tensor(PyTypeObject* type) noexcept;

// torch.Tensor or torch.nn.Parameter: a subclass may be more than its memory.
bool is_plain_torch_tensor(PyTypeObject* type);

// The unversioned DLPack capsule of a tensor.
pybind11::object torch_capsule(PyObject* tensor);

// Whether a TorchFunctionMode is active: code of its own that runs in torch's functions.
bool torch_function_mode();

// The 0-d tensor of a float64, rounded to the dtype.
pybind11::object torch_scalar(double value, DType dtype);

// The tensor that shares a NumPy array's memory.
pybind11::object torch_tensor(const pybind11::object& array);

// Whether in-place functions may change inference tensors.
bool torch_inference_mode();
bool is_inference_tensor(PyObject* tensor, Attribute& version);

// Tells autograd that tensors change in place, so that a backward pass that needs them as they
// were fails instead of giving wrong gradients. `tensors`: a list of them.
void increment_versions(const pybind11::list& tensors);

}  // namespace gradclip
