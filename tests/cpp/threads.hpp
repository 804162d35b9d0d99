// Thread counts to test with.
#pragma once

#include "core/pool.hpp"

namespace gradclip::test {

inline constexpr int kThreadCounts[] = {1, 2, 3, 8};

// The calling thread's limit, for a scope.
class Threads {
 public:
  explicit Threads(int threads) : before_(set_thread_limit(threads)) {}
  ~Threads() { set_thread_limit(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

}  // namespace gradclip::test
