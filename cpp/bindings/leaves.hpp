// The arrays in a nesting of lists, tuples and dicts.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <string>
#include <vector>

#include "bindings/ndarray.hpp"
#include "core/arena.hpp"
#include "core/span.hpp"

namespace gradclip {

// What a call does with the arrays: reads them, changes them, or writes new ones like them.
enum class Access { kRead, kInPlace, kFresh };

// Walks `grads`, checks every leaf in order and then that none share memory, and keeps everything
// it has seen alive. Raises TypeError or ValueError with the path of the leaf.
class Leaves {
 public:
  Leaves(PyObject* grads, Access access);
  ~Leaves();
  Leaves(const Leaves&) = delete;
  Leaves& operator=(const Leaves&) = delete;

  const SpanList& spans() const noexcept { return spans_; }

  // A leaf's place as Python would write it: grads['encoder'][0].
  std::string path(std::size_t leaf) const { return path(places_[leaf]); }

  // RuntimeError if an array is no longer what it was when it was read; for use after code that
  // may have changed it.
  void check_unchanged() const;

  // ValueError if the number is not finite in the compute type of a leaf.
  void check_representable(double value, const char* name) const;

  // The nesting that was walked, of the same container types, with the fresh arrays in it.
  pybind11::object rebuilt(PyObject* grads) const;

 private:
  // Where an object stands: in which container (−1: it is grads itself), and its index in a
  // sequence or its key in a mapping. Two words, so that it is passed in registers.
  struct Place {
    std::ptrdiff_t container;
    union {
      Py_ssize_t index;
      PyObject* key;
    };
  };
  struct Container {
    Place place;
    bool mapping;
  };

  static constexpr int kMaxDepth = 100;

  explicit Leaves(Access access) : access_(access) {}

  void visit(PyObject* object, Place place, int depth);
  void visit_container(PyObject* container, Place place, int depth);
  void visit_items_of(PyObject* mapping, std::ptrdiff_t container, int depth);
  void add(PyObject* array, Place place);
  PyObject* fresh_like(PyObject* array, Element element);
  static void add_span(SpanList& spans, NdArray array, NdArray out, Element element);
  Element element_of(PyObject* array, Place place);
  void hold(PyObject* object) { held_.push_back(Py_NewRef(object)); }
  std::string path(Place place) const;
  pybind11::object rebuild(PyObject* object, std::size_t& next, int depth) const;

  Access access_;
  Arena<1024> arena_;
  ArenaVector<Container> containers_{&arena_};
  ArenaVector<Place> places_{&arena_};      // of the leaves
  SpanList spans_{&arena_};                 // of the leaves
  ArenaVector<PyObject*> arrays_{&arena_};  // the leaves, strong
  ArenaVector<PyObject*> fresh_{&arena_};   // their new arrays, borrowed from held_
  ArenaVector<PyObject*> held_{&arena_};    // whatever else must stay alive, strong
  PyObject* last_descr_ = nullptr;          // of the array before; most lists have only one
  Element last_element_{};
};

}  // namespace gradclip
