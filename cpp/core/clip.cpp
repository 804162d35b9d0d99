#include "core/clip.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/float_bits.hpp"
#include "core/fp_environment.hpp"

namespace gradclip {
namespace {

using Action = ClipPlan::Action;

ClipPlan scale_plan(const DTypeSteps& steps, Rounding rounding, double factor) noexcept {
  ClipPlan plan;
  plan.action = Action::kScale;
  plan.steps = steps;
  plan.rounding = rounding;
  plan.factor = factor;
  return plan;
}

ClipPlan fill_plan(double value) noexcept {
  ClipPlan plan;
  plan.action = Action::kFill;
  plan.fill = plan.factor = value;
  return plan;
}

// Anything · NaN is NaN, one NaN for all instruction sets.
ClipPlan nan_plan() noexcept { return fill_plan(std::numeric_limits<double>::quiet_NaN()); }

// Not inlined, so that it computes in the environment that its caller sets.
[[gnu::noinline]] ClipPlan plan_in_environment(double norm, double max_norm, ClipOptions options,
                                               Precision precision) noexcept {
  if (norm <= max_norm) {
    if (options.inv_scale == 1.0) return {};
    constexpr auto kNearest = Rounding::kNearest;
    return scale_plan(steps(Factor::of(options.inv_scale), kNearest), kNearest, 1.0);
  }
  if (max_norm == 0.0) return fill_plan(0.0);
  const Factor factor =
      clip_factor(max_norm, norm, options.eps, options.inv_scale, precision.slack);
  return scale_plan(steps(factor, Rounding::kTowardZero), precision.products, to_float64(factor));
}

[[gnu::noinline]] ClipPlan plan_ratio_in_environment(double norm, double max_norm, double eps,
                                                     Precision precision) noexcept {
  const double ratio = max_norm / (norm + eps);
  if (ratio >= 1.0) return {};
  if (std::isnan(ratio)) return nan_plan();
  if (max_norm > 0.0 && norm > 0.0 && std::isfinite(norm)) {
    const Factor factor = clip_factor(max_norm, norm, eps, 1.0, precision.slack);
    return scale_plan(steps(factor, Rounding::kTowardZero), precision.products, to_float64(factor));
  }
  return scale_plan(one_step(ratio), Rounding::kNearest, ratio);
}

[[gnu::noinline]] bool exceeds_in_environment(double magnitude, double bound) noexcept {
  return !(magnitude <= bound);
}

// In order 2, float64 norms are within 0.53 ulp. Narrower types' sums are good to 516·2^-53, and
// so norms of order 1, and of order 2 to half of that. Twice the error, so that the clipped list
// is not clipped again when it is measured. Moduli are good to 2^-52, other powers to
// 2^-50·max(1, 1/p).
double slack(const Contents& contents, Order order) noexcept {
  switch (order.kind) {
    case OrderKind::kTwo:
      return contents.widened ? 0x1p-43 : 0.0;
    case OrderKind::kOne:
    case OrderKind::kMax:
      return contents.widened ? 0x1p-42 : contents.pairs ? 0x1p-51 : 0.0;
    case OrderKind::kPower:
      // Below p = 2^-12 only a list with a single value has a finite norm, which is exact.
      return 0x1p-48 * std::clamp(1.0 / order.p, 1.0, 0x1p12);
  }
  __builtin_unreachable();
}

[[gnu::noinline]] double adaptive_in_environment(double clipping, double norm,
                                                 double eps) noexcept {
  return clipping * std::max(norm, eps);
}

}  // namespace

Precision precision(const Contents& contents, Order order) noexcept {
  return {slack(contents, order), contents.half ? Rounding::kNearest : Rounding::kTowardZero};
}

ClipPlan plan_clip(double norm, double max_norm, ClipOptions options,
                   Precision precision) noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  return plan_in_environment(norm, max_norm, options, precision);
}

ClipPlan plan_ratio(double norm, double max_norm, double eps, Precision precision) noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  return plan_ratio_in_environment(norm, max_norm, eps, precision);
}

bool exceeds(double magnitude, double bound) noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  return exceeds_in_environment(magnitude, bound);
}

ClipPlan plan_nonfinite(double norm, NonFinite policy) noexcept {
  switch (policy) {
    case NonFinite::kRaise:
    case NonFinite::kSkip:
      return {};
    case NonFinite::kZero:
      return fill_plan(0.0);
    case NonFinite::kPropagate:
      if (std::isnan(norm)) return nan_plan();
      return scale_plan(one_step(0.0), Rounding::kNearest, 0.0);  // max_norm / inf
  }
  __builtin_unreachable();
}

double adaptive_max_norm(double clipping, double norm, double eps) noexcept {
  const FpEnvironment environment(Rounding::kNearest);
  return adaptive_in_environment(clipping, norm, eps);
}

ClipPlan UnitPlans::plan(std::size_t unit, Element element) const noexcept {
  const double norm = norms_[unit];
  if (!is_finite(norm)) return plan_nonfinite(norm, policy_);
  return plan_clip(norm, max_norm_of(unit), {.eps = eps_}, precision_of(element));
}

bool UnitPlans::clips(std::size_t unit) const noexcept {
  if (!is_finite(norms_[unit]))
    return policy_ == NonFinite::kZero || policy_ == NonFinite::kPropagate;
  return exceeds(norms_[unit], max_norm_of(unit));
}

}  // namespace gradclip
