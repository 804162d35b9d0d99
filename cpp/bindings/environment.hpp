// Settings from environment variables, read once when the module is imported.
#pragma once

namespace gradclip {

// Picks the instruction set and the number of threads. ImportError, naming the variable and the
// choices, for a GRADCLIP_ variable that cannot be honoured. Empty means unset.
void read_environment();

}  // namespace gradclip
