// What a clip writes, once the norm and the threshold are known.
#pragma once

#include <span>

#include "core/factor.hpp"
#include "core/order.hpp"
#include "core/work.hpp"

namespace gradclip {

enum class NonFinite { kRaise, kSkip, kZero, kPropagate };

// How closely a clip can keep to the threshold.
struct Precision {
  double slack;       // norms may be computed too small by this much, relatively, and an ulp
  Rounding products;  // toward zero, so that no rounding lifts the norm, if all types allow it
};
Precision precision(const Contents& contents, Order order) noexcept;

struct ClipOptions {
  double eps = 0.0;
  double inv_scale = 1.0;
};

// One of the things that a clip can write to the targets.
struct ClipPlan {
  enum class Action { kKeep, kFill, kScale };

  Action action = Action::kKeep;
  double fill = 0.0;    // kFill: the value of every element
  DTypeSteps steps{};   // kScale
  Rounding rounding{};  // kScale
  double factor = 1.0;  // min(1, max_norm / (norm + eps)) as a float64, rounded down
};

// For inv_scale · min(1, max_norm / (norm + eps)) · g, where `norm` is the finite norm of
// inv_scale · g.
ClipPlan plan_clip(double norm, double max_norm, ClipOptions options, Precision precision) noexcept;

// For min(1, max_norm / (norm + eps)) · g of any numbers, as IEEE arithmetic has it: eps takes part
// in the test, a negative max_norm turns gradients around, inf and NaN spread. PyTorch clips so.
ClipPlan plan_ratio(double norm, double max_norm, double eps, Precision precision) noexcept;

// Whether it is above the bound, or NaN.
bool exceeds(double magnitude, double bound) noexcept;

// For a norm of inf or NaN.
ClipPlan plan_nonfinite(double norm, NonFinite policy) noexcept;

// The threshold of a unit by the norm of its parameters: clipping · max(norm, eps).
double adaptive_max_norm(double clipping, double norm, double eps) noexcept;

// What becomes of each unit, by its own norm and threshold; finite or not.
class UnitPlans {
 public:
  // A single threshold is that of all units.
  UnitPlans(std::span<const double> norms, std::span<const double> max_norms, Order order,
            double eps, NonFinite policy) noexcept
      : norms_(norms), max_norms_(max_norms), order_(order), eps_(eps), policy_(policy) {}

  // Of a unit of an array of such elements.
  ClipPlan plan(std::size_t unit, Element element) const noexcept;
  Rounding rounding(Element element) const noexcept { return precision_of(element).products; }
  bool finite(std::size_t unit) const noexcept { return is_finite(norms_[unit]); }
  // Whether a plan is to write anything in place.
  bool clips(std::size_t unit) const noexcept;

 private:
  Precision precision_of(Element element) const noexcept {
    Contents own;
    own.add(element);
    return precision(own, order_);
  }

  double max_norm_of(std::size_t unit) const noexcept {
    return max_norms_[max_norms_.size() == 1 ? 0 : unit];
  }

  std::span<const double> norms_;
  std::span<const double> max_norms_;
  Order order_;
  double eps_;
  NonFinite policy_;
};

}  // namespace gradclip
