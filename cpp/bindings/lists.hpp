// Nestings that belong together, array by array: gradients, their parameters, their velocities.
#pragma once

#include <cstddef>
#include <vector>

#include "bindings/leaves.hpp"

namespace gradclip {

// Gradients and other nestings with an array of the same shape at the place of each of them. Where
// a gradient is None, the others may have an array, which is not meant. All must outlive this, and
// have been read with Reading::axes.
class ParallelLists {
 public:
  // ValueError if a gradient lacks a partner, or a partner a gradient.
  ParallelLists(const Leaves& grads, std::vector<const Leaves*> others);

  // For each gradient the leaf of the i-th other nesting that belongs to it.
  const std::vector<std::size_t>& partners(std::size_t i) const noexcept { return partners_[i]; }

  // TypeError if dtypes differ.
  void require_equal_dtypes() const;
  // ValueError if any two arrays of all lists do.
  void refuse_shared_memory() const;
  // RuntimeError if an array is no longer what it was when it was read.
  void check_unchanged(const char* culprit, bool exports) const;
  // Tells torch that all but what is only read is about to change.
  void announce_write() const;

  // The gradients, or the i-th others, in the gradients' order, and each one's elements in the
  // order in which those of the first other lie in memory.
  SpanList aligned_grads() const;
  SpanList aligned(std::size_t i) const;

 private:
  void find_partners(const Leaves& other);
  SpanList align(const Leaves& leaves, const std::vector<std::size_t>* partners) const;

  const Leaves& grads_;
  std::vector<const Leaves*> others_;
  std::vector<std::vector<std::size_t>> partners_;
};

}  // namespace gradclip
