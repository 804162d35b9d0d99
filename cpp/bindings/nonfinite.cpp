#include "bindings/nonfinite.hpp"

#include <string>

#include "bindings/errors.hpp"
#include "core/float_bits.hpp"

namespace gradclip {
namespace {

constexpr const char* kAdvice =
    " holds an inf or NaN. Nothing was changed; nonfinite='skip' or 'zero' go on without an error";

std::string named(double norm) { return is_nan(norm) ? "nan" : "inf"; }

}  // namespace

void refuse_nonfinite(double norm, const Norms& norms, const Leaves& leaves) {
  const std::size_t bad = norms.first_nonfinite();
  if (bad == leaves.spans().size()) {
    raise_nonfinite_norm(
        "every gradient is finite, but their norm is too large for float64, so they cannot be "
        "clipped and were not changed: scale them down first, or choose another nonfinite=",
        norm, "");
  }
  const std::string path = leaves.path(bad);
  raise_nonfinite_norm("the norm of the gradients is " + named(norm) + ": " + path + kAdvice, norm,
                       path);
}

void refuse_nonfinite_unit(double norm, std::size_t leaf, const Norms& norms,
                           const Leaves& leaves) {
  const std::string path = leaves.path(leaf);
  if (norms.first_nonfinite() <= leaf) {
    raise_nonfinite_norm("a norm of " + path + " is " + named(norm) + ": it" + kAdvice, norm, path);
  }
  raise_nonfinite_norm("every element of " + path +
                           " is finite, but a norm of it is too large for float64, so it cannot be "
                           "clipped. Nothing was changed: scale it down first",
                       norm, "");
}

void refuse_nonfinite_examples(std::span<const double> norms, Batch& batch, const Leaves& leaves) {
  for (std::size_t i = 0; i < norms.size(); ++i) {
    if (is_finite(norms[i])) continue;
    const std::string example = std::to_string(i);
    const std::size_t bad = batch.first_nonfinite(i);
    if (bad == leaves.spans().size()) {
      raise_nonfinite_norm("every gradient of example " + example +
                               " is finite, but their norm is too large for float64, so they "
                               "cannot be clipped. Nothing was changed: scale them down first",
                           norms[i], "");
    }
    const std::string path = leaves.path(bad);
    raise_nonfinite_norm("the norm of example " + example + " is " + named(norms[i]) + ": " + path +
                             "[" + example + "]" + kAdvice,
                         norms[i], path);
  }
}

}  // namespace gradclip
