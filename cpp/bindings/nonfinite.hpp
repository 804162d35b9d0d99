// NonFiniteNormError: which norm is inf or NaN, and because of what.
#pragma once

#include <cstddef>
#include <span>

#include "bindings/leaves.hpp"
#include "core/examples.hpp"
#include "core/passes.hpp"

namespace gradclip {

// For the norm of all leaves.
[[noreturn]] void refuse_nonfinite(double norm, const Norms& norms, const Leaves& leaves);

// For the norm of a leaf, or of a part of it.
[[noreturn]] void refuse_nonfinite_unit(double norm, std::size_t leaf, const Norms& norms,
                                        const Leaves& leaves);

// For the first norm of an example that is not finite, if there is one.
void refuse_nonfinite_examples(std::span<const double> norms, Batch& batch, const Leaves& leaves);

}  // namespace gradclip
