#include "core/clip.hpp"

#include <cmath>

#include "core/fp_environment.hpp"
#include "core/passes.hpp"

namespace gradclip {
namespace {

// Not inlined, so that it computes in the environment that its caller sets.
[[gnu::noinline]] double write_in_environment(const Work& work, double norm, double max_norm,
                                              Clip clip) noexcept {
  if (norm <= max_norm) {
    if (clip.inv_scale == 1.0) {
      copy(work);
    } else {
      scale(work, steps(Factor::of(clip.inv_scale), Rounding::kNearest), Rounding::kNearest);
    }
    return 1.0;
  }
  if (max_norm == 0.0) {
    fill_zero(work);
    return 0.0;
  }
  const Factor factor = clip_factor(max_norm, norm, clip.eps, clip.inv_scale, work.widened());
  scale(work, steps(factor, Rounding::kTowardZero), Rounding::kTowardZero);
  return to_float64(factor);
}

}  // namespace

double write_clipped(const Work& work, double norm, double max_norm, Clip clip) noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  return write_in_environment(work, norm, max_norm, clip);
}

void write_nonfinite(const Work& work, double norm, NonFinite policy) noexcept {
  switch (policy) {
    case NonFinite::kRaise:
    case NonFinite::kSkip:
      return copy(work);
    case NonFinite::kZero:
      return fill_zero(work);
    case NonFinite::kPropagate:  // max_norm / inf is 0, and anything / NaN is NaN
      return scale(work, one_step(std::isnan(norm) ? norm : 0.0), Rounding::kNearest);
  }
}

}  // namespace gradclip
