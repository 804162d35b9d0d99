#include "bindings/options.hpp"

#include <utility>

#include "bindings/call_python.hpp"
#include "bindings/errors.hpp"
#include "core/float_bits.hpp"
#include "core/fp_environment.hpp"
#include "core/pool.hpp"

namespace py = pybind11;

namespace gradclip {
namespace {

[[noreturn]] void raise_value(const char* name, const char* rule, double value) {
  const FpEnvironment environment(Rounding::kNearest);  // Python computes the digits
  raise(PyExc_ValueError, "%s must be %s, not %R", name, rule, py::float_(value).ptr());
}

}  // namespace

double to_number(PyObject* object, const char* name) {
  if (PyFloat_CheckExact(object)) return PyFloat_AS_DOUBLE(object);
  const double value = call_python([object] { return PyFloat_AsDouble(object); });
  if (value == -1.0 && PyErr_Occurred() != nullptr) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw PythonError{};
    PyErr_Clear();
    raise(PyExc_TypeError, "%s must be a real number, not %s", name, Py_TYPE(object)->tp_name);
  }
  return value;
}

Order to_order(PyObject* object) {
  if (object == nullptr) return {};
  const double p = to_number(object, "ord");
  if (is_nan(p) || is_zero(p) || is_negative(p)) raise_value("ord", "a positive number", p);
  return Order::of(p);
}

double to_max_norm(PyObject* object, const char* name) {
  const double value = to_number(object, name);
  if (is_nan(value) || is_negative(value)) raise_value(name, "at least 0", value);
  return value;
}

Bounds to_bounds(PyObject* low, PyObject* high) {
  const Bounds bounds{to_number(low, "low"), to_number(high, "high")};
  if (is_nan(bounds.low)) raise_value("low", "a number", bounds.low);
  if (is_nan(bounds.high)) raise_value("high", "a number", bounds.high);
  if (exceeds(bounds.low, bounds.high)) {
    raise(PyExc_ValueError, "low must be at most high, not %R and %R", low, high);
  }
  return bounds;
}

double to_rate(PyObject* object, const char* name) {
  const double value = to_number(object, name);
  if (!is_finite(value) || is_negative(value)) raise_value(name, "finite and at least 0", value);
  return value;
}

double to_factor(PyObject* object) {
  const double value = to_number(object, "factor");
  if (!is_finite(value)) raise_value("factor", "finite", value);
  return value;
}

ClipOptions to_clip_options(PyObject* eps, PyObject* inv_scale) {
  ClipOptions options;
  if (eps != nullptr) options.eps = to_rate(eps, "eps");
  if (inv_scale != nullptr) options.inv_scale = to_number(inv_scale, "inv_scale");
  if (!is_finite(options.inv_scale) || is_zero(options.inv_scale) ||
      is_negative(options.inv_scale)) {
    raise_value("inv_scale", "finite and above 0", options.inv_scale);
  }
  return options;
}

NonFinite to_nonfinite(PyObject* object) {
  if (object == nullptr) return NonFinite::kRaise;
  if (PyUnicode_Check(object)) {
    constexpr std::pair<const char*, NonFinite> kPolicies[] = {
        {"raise", NonFinite::kRaise},
        {"skip", NonFinite::kSkip},
        {"zero", NonFinite::kZero},
        {"propagate", NonFinite::kPropagate}};
    for (const auto& [name, policy] : kPolicies) {
      if (PyUnicode_CompareWithASCIIString(object, name) == 0) return policy;
    }
  }
  raise(PyUnicode_Check(object) ? PyExc_ValueError : PyExc_TypeError,
        "nonfinite must be 'raise', 'skip', 'zero' or 'propagate', not %R", object);
}

Threshold::Threshold(PyObject* object) {
  if (PyCallable_Check(object)) {
    callable_ = object;
  } else {
    number_ = to_max_norm(object, "max_norm");
  }
}

double Threshold::at(double norm) const {
  if (callable_ == nullptr) return number_;
  const py::object argument = checked(PyFloat_FromDouble(norm));
  const py::object result =
      checked(call_python([&] { return PyObject_CallOneArg(callable_, argument.ptr()); }));
  return to_max_norm(result.ptr(), "the threshold that max_norm returned");
}

Axes to_axes(PyObject* object) {
  if (object == nullptr || object == Py_None) return std::nullopt;
  std::vector<Py_ssize_t> axes;
  const auto add = [&](PyObject* item) {
    const Py_ssize_t axis =
        call_python([item] { return PyNumber_AsSsize_t(item, PyExc_ValueError); });
    if (axis == -1 && PyErr_Occurred() != nullptr) {
      if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw PythonError{};
      PyErr_Clear();
      raise(PyExc_TypeError, "axis must be None, an integer or a tuple of integers, not %R",
            object);
    }
    axes.push_back(axis);
  };
  if (!PyTuple_Check(object)) {
    add(object);
    return axes;
  }
  if (PyTuple_GET_SIZE(object) == 0) {
    raise(PyExc_ValueError, "axis must name at least one axis, not ()");
  }
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); ++i) add(PyTuple_GET_ITEM(object, i));
  return axes;
}

bool is_true(PyObject* object) {
  const int truth = call_python([object] { return PyObject_IsTrue(object); });
  if (truth < 0) throw PythonError{};
  return truth != 0;
}

int to_thread_count(PyObject* object) {
  const py::object index = checked(PyNumber_Index(object));
  int overflow = 0;
  const long count = PyLong_AsLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0 || count < 1 || count > kMaxThreads) {
    raise(PyExc_ValueError, "the number of threads must be from 1 to %d, not %R", kMaxThreads,
          index.ptr());
  }
  return static_cast<int>(count);
}

}  // namespace gradclip
