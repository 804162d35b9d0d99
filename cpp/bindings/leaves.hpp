// The arrays in a nesting of lists, tuples and dicts.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "bindings/attribute.hpp"
#include "bindings/ndarray.hpp"
#include "bindings/tensor.hpp"
#include "core/arena.hpp"
#include "core/span.hpp"

namespace gradclip {

// What a call does with the arrays: reads them, changes them, or writes new ones like them. Only
// kInPlaceTracked changes tensors that require grad, too: torch itself gives such gradients.
enum class Access { kRead, kInPlace, kInPlaceTracked, kFresh };

// What else a call asks of the arrays.
struct Reading {
  bool axes = false;           // their shapes and strides: of most calls only the memory matters
  bool reals_only = false;     // complex ones are refused
  const char* name = "grads";  // the argument's, for messages
};

// Walks `grads`, checks every leaf in order and then that none share memory, and keeps everything
// it has seen alive. Raises TypeError or ValueError with the path of the leaf.
class Leaves {
 public:
  Leaves(PyObject* grads, Access access, Reading reading = {});
  ~Leaves();
  Leaves(const Leaves&) = delete;
  Leaves& operator=(const Leaves&) = delete;

  const SpanList& spans() const noexcept { return spans_; }

  // Where a leaf's first element is, in source and target, and its axes in order.
  struct Layout {
    const std::byte* source;
    std::byte* target;
    std::vector<Axis> axes;
  };
  // For Reading::axes.
  const Layout& layout(std::size_t leaf) const noexcept { return layouts_[leaf]; }

  // A leaf's place as Python would write it: grads['encoder'][0].
  std::string path(std::size_t leaf) const { return path(places_[leaf]); }
  // That without the argument's name, ['encoder'][0], and the name.
  std::string place(std::size_t leaf) const { return place_in_nesting(places_[leaf]); }
  const char* name() const noexcept { return reading_.name; }
  // Whether there is a None at such a place; for Reading::axes.
  bool is_none_at(const std::string& place) const;

  bool is_torch_tensor(std::size_t leaf) const noexcept;
  bool has_torch_tensors() const noexcept { return !torch_leaves_.empty(); }

  // Whether a leaf has the same place in its nesting as one of another nesting, by the same keys:
  // different ones may look alike. False if only equality could tell.
  bool same_place(std::size_t leaf, const Leaves& other, std::size_t other_leaf) const;

  // RuntimeError if an array is no longer what it was when it was read; for use after code that
  // may have changed it, which the message names. Without `exports` no code of others runs, not
  // even to find a type's attributes: what has an owner, which keeps its memory alive, is not read
  // again.
  void check_unchanged(const char* culprit, bool exports = true) const;

  // Tells torch that its tensors are about to change, unless they are only read; RuntimeError if
  // it would not let them.
  void announce_write() const;
  // The latter, before any of several nestings is told of.
  void refuse_inference_tensors() const;

  // ValueError if the number is not finite in the compute type of a leaf.
  void check_representable(double value, const char* name) const;

  // The nesting that was walked, of the same container types, with the fresh arrays in it, or with
  // those objects, one for each leaf.
  pybind11::object rebuilt(PyObject* grads) const { return rebuilt(grads, fresh_); }
  pybind11::object rebuilt(PyObject* grads, std::span<PyObject* const> leaves) const;

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

  // Tensors of one type, from a leaf on; arrays may be among them.
  struct TensorRun {
    std::size_t first;
    TensorType type;
  };

  static constexpr int kMaxDepth = 100;

  Leaves(Access access, Reading reading) : access_(access), reading_(reading) {}

  void visit(PyObject* object, Place place, int depth);
  void visit_container(PyObject* container, Place place, int depth);
  void visit_items_of(PyObject* mapping, std::ptrdiff_t container, int depth);
  void add(PyObject* array, Place place);
  void add_tensor(PyObject* tensor, Place place);
  const TensorType& type_of(std::size_t leaf) const noexcept;
  bool is_described(std::size_t leaf) const noexcept;
  bool is_unchanged_array(std::size_t leaf) const;
  bool is_unchanged_tensor(std::size_t leaf) const;
  static PyObject* requires_grad_name();
  bool is_weight(PyObject* tensor, const TensorType& type) const;
  TensorMemory memory_of(PyObject* tensor, const TensorType& type, Place place) const;
  void check_memory(PyObject* tensor, const TensorMemory& memory, Place place) const;
  bool in_place() const {
    return access_ == Access::kInPlace || access_ == Access::kInPlaceTracked;
  }
  PyObject* fresh_like(PyObject* array, Element element);
  static std::vector<Axis> axes_of(NdArray array, NdArray out);
  static std::vector<Axis> axes_of(const TensorMemory& memory, Element element);
  static void add_span(SpanList& spans, NdArray array, NdArray out, Element element);
  static void add_span(SpanList& spans, const TensorMemory& memory, Element element);
  void refuse_overlap_in_last() const;
  Element element_of(PyObject* array, Place place);
  void hold(PyObject* object) { held_.push_back(Py_NewRef(object)); }
  std::string path(Place place) const { return reading_.name + place_in_nesting(place); }
  std::string place_in_nesting(Place place) const;
  pybind11::object rebuild(PyObject* object, std::span<PyObject* const> leaves, std::size_t& next,
                           int depth) const;

  Access access_;
  Reading reading_;
  Arena<1024> arena_;
  ArenaVector<Container> containers_{&arena_};
  ArenaVector<Place> places_{&arena_};      // of the leaves
  SpanList spans_{&arena_};                 // of the leaves
  ArenaVector<PyObject*> arrays_{&arena_};  // the leaves, strong
  std::vector<Layout> layouts_;             // theirs, if the call needs them
  std::vector<Place> nones_;                // where there is a None, then too
  ArenaVector<PyObject*> fresh_{&arena_};   // their new arrays, borrowed from held_
  ArenaVector<PyObject*> held_{&arena_};    // whatever else must stay alive, strong
  ArenaVector<std::size_t> torch_leaves_{&arena_};
  ArenaVector<TensorRun> tensor_types_{&arena_};
  bool ran_code_ = false;   // of others, which may have changed arrays that were read before
  bool only_plain_ = true;  // of torch's tensors: no subclasses, whose attributes run code
  mutable Attribute requires_grad_{requires_grad_name()};
  TensorType tensor_type_;  // of the tensor before: the last one above, at hand for every leaf
  PyObject* last_descr_ = nullptr;  // of the array before; most lists have only one
  Element last_element_{};
};

}  // namespace gradclip
