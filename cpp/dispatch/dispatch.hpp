// Picks one kernel table for the process: the best that this processor runs, or a named one.
#pragma once

#include <string_view>
#include <vector>

#include "kernels/table.hpp"

namespace gradclip {

// The table in use.
const KernelTable& kernels() noexcept;

// Names of the tables this processor can run, best first.
std::vector<std::string_view> available_isas();

// Names of the tables that exist for this architecture, but that the compiler could not build.
std::vector<std::string_view> isas_not_built();

// Uses the named table from now on. False, and no change, if it is not available.
bool select_isa(std::string_view name) noexcept;

}  // namespace gradclip
