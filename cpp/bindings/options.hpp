// The numbers and choices that calls take, checked. Each may be null for its default.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <vector>

#include "core/clip.hpp"
#include "core/values.hpp"

namespace gradclip {

// A finite-or-not real number, NaN included, in the caller's words: "max_norm must be …".
double to_number(PyObject* object, const char* name);

// ord: positive, inf too.
Order to_order(PyObject* object);

// At least 0; inf is allowed, NaN is not.
double to_max_norm(PyObject* object, const char* name);

// low ≤ high, neither of them NaN.
Bounds to_bounds(PyObject* low, PyObject* high);

// Finite and at least 0.
double to_rate(PyObject* object, const char* name);

// Finite, of either sign.
double to_factor(PyObject* object);

// eps finite and ≥ 0, inv_scale finite and > 0.
ClipOptions to_clip_options(PyObject* eps, PyObject* inv_scale);

NonFinite to_nonfinite(PyObject* object);

// max_norm: a number, or a callable that takes the norm and returns one.
class Threshold {
 public:
  explicit Threshold(PyObject* object);

  // Calls the callable, if it is one.
  double at(double norm) const;
  bool callable() const noexcept { return callable_ != nullptr; }

 private:
  PyObject* callable_ = nullptr;  // borrowed from the call's arguments
  double number_ = 0.0;
};

// axis: None, an integer, or a tuple of them.
using Axes = std::optional<std::vector<Py_ssize_t>>;
Axes to_axes(PyObject* object);

// As `if` sees it.
bool is_true(PyObject* object);

// The number of threads: an integer from 1 to kMaxThreads.
int to_thread_count(PyObject* object);

}  // namespace gradclip
