// Calls from which a thread may not come back.
#pragma once

#include <cstddef>  // __GLIBCXX__
#if defined(__GLIBCXX__)
#include <cxxabi.h>
#include <unistd.h>
#endif

namespace gradclip {

// Makes a call that waits for the GIL, or runs Python code, in which others may take it. Before
// Python 3.14, a daemon thread that then comes back while the interpreter exits is ended by
// unwinding its stack: destructors would drop references without the GIL. It waits for the end
// instead. The call itself must own nothing.
template <class Call>
auto call_python(const Call& call) {
#if defined(__GLIBCXX__)
  try {
    return call();
  } catch (const abi::__forced_unwind&) {
    for (;;) pause();
  }
#else
  return call();
#endif
}

}  // namespace gradclip
