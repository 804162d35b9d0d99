// The arrays in a nesting of lists, tuples and dicts.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <string>
#include <vector>

#include "bindings/ndarray.hpp"
#include "core/span.hpp"

namespace gradclip {

// What a call does with the arrays: reads them, changes them, or writes new ones like them.
enum class Access { kRead, kInPlace, kFresh };

// Walks `grads`, checks every leaf in order and then that none share memory, and keeps the arrays
// alive. Raises TypeError or ValueError with the path of the leaf, and changes nothing.
class Leaves {
 public:
  Leaves(PyObject* grads, Access access);
  ~Leaves();
  Leaves(const Leaves&) = delete;
  Leaves& operator=(const Leaves&) = delete;

  const SpanList& spans() const noexcept { return spans_; }

  // A leaf's place as Python would write it: grads['encoder'][0].
  std::string path(std::size_t leaf) const;

  // ValueError if the number is not finite in the compute type of a leaf.
  void check_representable(double value, const char* name) const;

  // The nesting that was walked, of the same container types, with the fresh arrays in it.
  pybind11::object rebuilt(PyObject* grads) const;

 private:
  // Where an object stands: in which container (−1: it is grads itself), at which key or index.
  struct Place {
    std::ptrdiff_t container;
    PyObject* key;  // strong, null in a sequence
    Py_ssize_t index;
  };
  struct Leaf {
    Place place;
    PyObject* array;  // strong
    PyObject* fresh;  // strong, null unless access is kFresh
  };

  explicit Leaves(Access access) : access_(access) {}

  void visit(PyObject* object, const Place& place, int depth);
  void visit_items(PyObject* container, const Place& place, int depth);
  void visit_pairs(PyObject* mapping, std::ptrdiff_t container, int depth);
  void add(PyObject* array, const Place& place);
  void add_strided(const NdArray& array, const NdArray& out, DType dtype, const Place& place);
  void check_overlap() const;
  std::string path(const Place& place) const;
  pybind11::object rebuild(PyObject* object, std::size_t& next) const;

  Access access_;
  std::vector<Place> containers_;
  std::vector<Leaf> leaves_;
  SpanList spans_;
  std::vector<Axis> axes_;  // of the array being added
};

}  // namespace gradclip
