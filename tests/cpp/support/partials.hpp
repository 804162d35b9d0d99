// Random sums of squares.
#pragma once

#include "kernels/table.hpp"
#include "support/random.hpp"

namespace gradclip::test {

// As blocks give them: unscaled sums where squares are in range, scaled ones elsewhere.
inline Partial random_partial(Random& random, int scale) {
  const double hi = scale == 0   ? random.positive(-860, 970)
                    : scale == 1 ? random.positive(-940, 330)
                                 : random.positive(-240, 845);
  return {hi, hi * random.real(-60, -54), scale};
}

}  // namespace gradclip::test
