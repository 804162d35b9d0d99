// Random sums of squares.
#pragma once

#include "kernels/table.hpp"
#include "support/random.hpp"

namespace gradclip::test {

inline constexpr double kUnits[] = {0x1p-600, 1.0, 0x1p600};
inline double random_unit(Random& random) { return kUnits[random.between(0, 2)]; }

// As blocks give them: unscaled sums where squares are in range, scaled ones elsewhere.
inline Partial random_partial(Random& random, double unit) {
  const double hi = unit == 1.0  ? random.positive(-860, 970)
                    : unit < 1.0 ? random.positive(-940, 330)
                                 : random.positive(-240, 845);
  return {hi, hi * random.real(-60, -54), unit};
}

}  // namespace gradclip::test
