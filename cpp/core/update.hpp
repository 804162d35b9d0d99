// The update of a model's parameters by its clipped gradients.
#pragma once

#include "core/factor.hpp"
#include "core/work.hpp"

namespace gradclip {

// What stochastic gradient descent does with a gradient; see SgdStep.
struct Descent {
  double lr;
  double momentum = 0.0;
  double weight_decay = 0.0;
  bool nesterov = false;
  bool no_gradient = false;
};

// One pass over the parameters, which `work` is cut from, with options of update_options. Span i of
// each list has the elements of span i of the others, in the same order; all are in place. Without
// velocities there is no momentum.
void descend(const Work& work, const SpanList& gradients, const SpanList* velocities,
             const DTypeSteps& factor, const Descent& descent) noexcept;

// For the parameters' work.
WorkOptions update_options(const SpanList& parameters, const SpanList& gradients,
                           const SpanList* velocities);

}  // namespace gradclip
