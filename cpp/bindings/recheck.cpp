// Whether arrays are still what they were when they were read.
#include <algorithm>
#include <iterator>

#include "bindings/errors.hpp"
#include "bindings/leaves.hpp"

namespace gradclip {

void Leaves::check_unchanged(const char* culprit, bool exports) const {
  const auto check = [&](std::size_t leaf, bool unchanged) {
    if (unchanged) return;
    raise(PyExc_RuntimeError,
          "%s changed the memory, shape, dtype or flags of %s; nothing was written", culprit,
          path(leaf).c_str());
  };
  // Exports and attributes come first: their code may change what was found unchanged before.
  for (std::size_t i = 0; exports && i < arrays_.size(); ++i) {
    if (NdArray::check(arrays_[i])) continue;
    check(i, !is_weight(arrays_[i], type_of(i)) && (is_described(i) || is_unchanged_tensor(i)));
  }
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    if (NdArray::check(arrays_[i])) {
      check(i, is_unchanged_array(i));
    } else if (is_described(i)) {
      check(i, is_unchanged_tensor(i));
    }
  }
}

// Only for tensors, as they were when they were read.
const TensorType& Leaves::type_of(std::size_t leaf) const noexcept {
  return std::prev(std::ranges::upper_bound(tensor_types_, leaf, {}, &TensorRun::first))->type;
}

bool Leaves::is_described(std::size_t leaf) const noexcept {
  return type_of(leaf).describes(in_place());
}

bool Leaves::is_unchanged_array(std::size_t leaf) const {
  const NdArray array(arrays_[leaf]);
  const NdArray out(access_ == Access::kFresh ? fresh_[leaf] : arrays_[leaf]);
  const Element element = spans_[leaf].element;
  const bool usable = array.element() == element && array.native_byte_order() && out.writeable();
  if ((!usable && access_ != Access::kRead) || !out.same_shape(array)) return false;
  SpanList now;
  add_span(now, array, out, element);
  return now.same(0, spans_, leaf);
}

bool Leaves::is_unchanged_tensor(std::size_t leaf) const {
  const TensorType& type = type_of(leaf);
  if (!type.is(Py_TYPE(arrays_[leaf]))) return false;
  const TensorMemory memory = memory_of(arrays_[leaf], type, places_[leaf]);
  const Element element = spans_[leaf].element;
  const bool writeable = memory.writeable == TensorMemory::Writeable::kYes || !in_place();
  if (memory.tensor.device.type != dlpack::kCpu || memory.element() != element || !writeable) {
    return false;
  }
  SpanList now;
  add_span(now, memory, element);
  return now.same(0, spans_, leaf);
}

}  // namespace gradclip
