// The two passes of a clip: the norm pass reads, the scale pass writes.
//
// Both set the floating-point environment they need and give the caller's back.
#pragma once

#include <vector>

#include "core/arena.hpp"
#include "core/clip.hpp"
#include "core/factor.hpp"
#include "core/partial.hpp"
#include "core/work.hpp"

namespace gradclip {

// Norms of some order: a list's, each span's and each unit's.
class Norms {
 public:
  Norms(const Work& work, Order order);  // obtains the memory; everything is zero

  void measure() noexcept;

  // scale times the norm of the list.
  double norm(double scale = 1.0) const noexcept;
  // The norms of the spans; `norms` has room for as many.
  void array_norms(double* norms) const noexcept;
  // The norms of the units, of all spans one after another.
  void unit_norms(double* norms) const noexcept;
  // The first span that holds an infinity or NaN itself, or spans().size() if none does.
  std::size_t first_nonfinite() const noexcept;

 private:
  // Calls visit(i, partial of span i) for every span until that returns false.
  template <class Visit>
  void for_each_span(const Visit& visit) const noexcept;

  const Work& work_;
  Order order_;
  Arena<256> arena_;
  ArenaVector<Partial> parts_;
};

// What a scale pass writes to each span's target.
void copy(const Work& work) noexcept;
void fill(const Work& work, double value) noexcept;
// factor · source, the products rounded as told.
void scale(const Work& work, const DTypeSteps& factor, Rounding rounding) noexcept;

// kKeep writes nothing in place, and copies otherwise. `next` as for the kernel that scales.
void write_numbers(const ClipPlan& plan, const std::byte* source, std::byte* target,
                   std::size_t count, DType dtype, const std::byte* next = nullptr) noexcept;
void write(const Work& work, const ClipPlan& plan) noexcept;
void write(const Work& work, const UnitPlans& plans) noexcept;

// The source's values, with low for those below it and high for those above it; NaN is neither.
void clamp(const Work& work, double low, double high) noexcept;

}  // namespace gradclip
