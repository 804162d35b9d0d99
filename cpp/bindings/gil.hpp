// When native work gives other Python threads a chance.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>

#include "bindings/call_python.hpp"

namespace gradclip {

// About 1 ms of memory traffic. With a busy Python thread around, getting the GIL back takes 5 ms,
// so that less work than this is done sooner with the GIL held.
inline constexpr std::size_t kReleaseBytes = 25'000'000;

// Calls work() without the GIL if it moves enough bytes.
template <class Work>
void without_gil(std::size_t bytes, const Work& work) {
  if (bytes < kReleaseBytes) return work();
  PyThreadState* const state = PyEval_SaveThread();
  work();
  call_python([state] { PyEval_RestoreThread(state); });
}

}  // namespace gradclip
