// When native work gives other Python threads a chance.
#pragma once

#include <pybind11/pybind11.h>
#if defined(__GLIBCXX__)
#include <cxxabi.h>
#include <unistd.h>
#endif

#include <cstddef>

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
#if defined(__GLIBCXX__)
  // Before Python 3.14, a daemon thread that comes back while the interpreter exits is ended here
  // by unwinding its stack: it would drop references without the GIL. It waits for the end instead.
  try {
    PyEval_RestoreThread(state);
  } catch (const abi::__forced_unwind&) {
    for (;;) pause();
  }
#else
  PyEval_RestoreThread(state);
#endif
}

}  // namespace gradclip
