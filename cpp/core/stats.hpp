// What gradients hold, from one pass over them.
#pragma once

#include <vector>

#include "core/partial.hpp"
#include "core/work.hpp"

namespace gradclip {

class Stats {
 public:
  explicit Stats(const Work& work);  // obtains the memory; everything is zero

  void measure() noexcept;

  double norm() const noexcept;
  // The largest |x|, or |z|; NaN if there is one.
  double max_abs() const noexcept;
  Counts counts() const noexcept;
  // The norms of the spans; `norms` has room for as many.
  void array_norms(double* norms) const noexcept;
  // The first span that holds an infinity or NaN itself, or spans().size() if none does.
  std::size_t first_nonfinite() const noexcept;

 private:
  const Work& work_;
  std::vector<Partial> squares_;  // of each block
  std::vector<Partial> largest_;
  std::vector<Counts> counts_;
};

}  // namespace gradclip
