#include "bindings/lists.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <unordered_map>

#include "bindings/errors.hpp"
#include "core/overlap.hpp"

namespace gradclip {
namespace {

std::string shape_of(const std::vector<Axis>& axes) {
  std::string text = "(";
  for (const Axis& axis : axes) text += std::to_string(axis.extent) + ", ";
  if (axes.size() > 1) text.resize(text.size() - 2);
  if (axes.size() == 1) text.resize(text.size() - 1);
  return text + ")";
}

bool same_shape(const std::vector<Axis>& a, const std::vector<Axis>& b) {
  return std::ranges::equal(a, b, {}, &Axis::extent, &Axis::extent);
}

[[noreturn]] void refuse_alike(const std::string& path) {
  raise(PyExc_ValueError, "two arrays are called %s: give dicts the same order, or other keys",
        path.c_str());
}

}  // namespace

ParallelLists::ParallelLists(const Leaves& grads, std::vector<const Leaves*> others)
    : grads_(grads), others_(std::move(others)) {
  for (const Leaves* other : others_) find_partners(*other);
  check_unchanged("reading another argument", false);
}

// As a rule the next leaf; otherwise by name, which must be that of no other one.
void ParallelLists::find_partners(const Leaves& other) {
  std::unordered_map<std::string, std::size_t> by_place;
  const auto find = [&](std::size_t leaf) {
    if (by_place.empty()) {
      for (std::size_t i = 0; i < other.spans().size(); ++i) {
        if (!by_place.emplace(other.place(i), i).second) refuse_alike(other.path(i));
      }
    }
    const auto found = by_place.find(grads_.place(leaf));
    if (found == by_place.end()) {
      raise(PyExc_ValueError, "%s has no partner: %s%s is no array", grads_.path(leaf).c_str(),
            other.name(), grads_.place(leaf).c_str());
    }
    return found->second;
  };
  std::vector<std::size_t> partners;
  std::vector<bool> matched(other.spans().size());
  std::size_t next = 0;
  for (std::size_t leaf = 0; leaf < grads_.spans().size(); ++leaf) {
    const bool as_expected = next < other.spans().size() && grads_.same_place(leaf, other, next);
    const std::size_t partner = as_expected ? next : find(leaf);
    if (!same_shape(grads_.layout(leaf).axes, other.layout(partner).axes)) {
      raise(PyExc_ValueError, "%s has shape %s, but %s has shape %s", grads_.path(leaf).c_str(),
            shape_of(grads_.layout(leaf).axes).c_str(), other.path(partner).c_str(),
            shape_of(other.layout(partner).axes).c_str());
    }
    if (matched[partner]) refuse_alike(grads_.path(leaf));
    partners.push_back(partner);
    matched[partner] = true;
    next = partner + 1;
  }
  for (std::size_t i = 0; i < matched.size(); ++i) {
    if (matched[i] || grads_.is_none_at(other.place(i))) continue;
    raise(PyExc_ValueError, "%s has no gradient: grads%s is neither an array nor None",
          other.path(i).c_str(), other.place(i).c_str());
  }
  partners_.push_back(std::move(partners));
}

void ParallelLists::require_equal_dtypes() const {
  for (std::size_t i = 0; i < others_.size(); ++i) {
    for (std::size_t leaf = 0; leaf < grads_.spans().size(); ++leaf) {
      const std::size_t other = partners_[i][leaf];
      if (grads_.spans()[leaf].element == others_[i]->spans()[other].element) continue;
      raise(PyExc_TypeError, "%s and %s have different dtypes; convert one of them",
            grads_.path(leaf).c_str(), others_[i]->path(other).c_str());
    }
  }
}

void ParallelLists::refuse_shared_memory() const {
  std::vector<const Leaves*> all = others_;
  all.push_back(&grads_);
  SpanList spans;
  for (const Leaves* leaves : all) spans.append(leaves->spans());
  const auto pair = overlapping_pair(spans);
  if (!pair) return;
  const auto path = [&](std::size_t leaf) {
    auto of = all.begin();
    for (; leaf >= (*of)->spans().size(); ++of) leaf -= (*of)->spans().size();
    return (*of)->path(leaf);
  };
  raise(PyExc_ValueError, "%s and %s share memory; pass each array once, or a copy",
        path(pair->first).c_str(), path(pair->second).c_str());
}

void ParallelLists::check_unchanged(const char* culprit, bool exports) const {
  grads_.check_unchanged(culprit, exports);
  for (const Leaves* other : others_) other->check_unchanged(culprit, exports);
}

void ParallelLists::announce_write() const {
  for (const Leaves* other : others_) other->refuse_inference_tensors();
  grads_.announce_write();
  for (const Leaves* other : others_) other->announce_write();
  // Arrays alone run no code.
  const bool tensors =
      grads_.has_torch_tensors() || std::ranges::any_of(others_, &Leaves::has_torch_tensors);
  if (tensors) check_unchanged("an attribute of a tensor", false);
}

SpanList ParallelLists::aligned_grads() const { return align(grads_, nullptr); }

SpanList ParallelLists::aligned(std::size_t i) const { return align(*others_[i], &partners_[i]); }

SpanList ParallelLists::align(const Leaves& leaves,
                              const std::vector<std::size_t>* partners) const {
  SpanList spans;
  for (std::size_t leaf = 0; leaf < grads_.spans().size(); ++leaf) {
    const std::vector<Axis>& guide = others_[0]->layout(partners_[0][leaf]).axes;
    const std::size_t own = partners == nullptr ? leaf : (*partners)[leaf];
    const Leaves::Layout& layout = leaves.layout(own);
    std::vector<std::size_t> order(guide.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::stable_sort(order, std::ranges::greater{},
                             [&](std::size_t i) { return std::abs(guide[i].source_stride); });
    std::byte* first = layout.target;
    std::vector<Axis> axes;
    for (const std::size_t i : order) {
      Axis axis = layout.axes[i];
      if (guide[i].source_stride < 0 && axis.extent > 0) {
        first += static_cast<std::ptrdiff_t>(axis.extent - 1) * axis.source_stride;
        axis.source_stride = axis.target_stride = -axis.source_stride;
      }
      axes.push_back(axis);
    }
    spans.add_ordered(first, first, axes, leaves.spans()[own].element);
  }
  return spans;
}

}  // namespace gradclip
