// A clip of a list of arrays, as a call of the library does it.
#pragma once

#include "core/clip.hpp"
#include "core/passes.hpp"
#include "support/arrays.hpp"

namespace gradclip::test {

inline double norm_of(Arrays& arrays, double inv_scale = 1.0, Order order = Order{}) {
  const SpanList spans = arrays.spans();
  const Work work(spans);
  Norms norms(work, order);
  norms.measure();
  return norms.norm(inv_scale);
}

// Returns the factor.
inline double clip(Arrays& arrays, double max_norm, ClipOptions options = {},
                   Order order = Order{}) {
  const double norm = norm_of(arrays, options.inv_scale, order);
  const SpanList spans = arrays.spans();
  const Work work(spans);
  const ClipPlan plan = plan_clip(norm, max_norm, options, precision(work.contents(), order));
  write(work, plan);
  return plan.factor;
}

}  // namespace gradclip::test
