// Instruction sets and thread counts, and checks under all of them.
#pragma once

#include <doctest/doctest.h>

#include <string_view>

#include "core/pool.hpp"
#include "dispatch/dispatch.hpp"
#include "support/record.hpp"

namespace gradclip::test {

// Calls test(table) with every instruction set of this processor in use.
template <class Test>
void for_each_isa(const Test& test) {
  const std::string_view before = kernels().name;
  for (const std::string_view isa : available_isas()) {
    REQUIRE(select_isa(isa));
    REQUIRE(kernels().name == isa);
    test(kernels());
  }
  REQUIRE(select_isa(before));
}

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

// Wakes the workers, which a small pass on its own does not.
inline void wake_workers() {
  const auto body = [](const void*, std::size_t, int) noexcept {};
  run(make_pass(body, nullptr, 64, get_num_threads()));
}

// Calls check() for every instruction set and number of threads.
template <class Check>
void for_each_setting(const Check& check) {
  for_each_isa([&](const KernelTable& table) {
    CAPTURE(table.name);
    for (const int threads : kThreadCounts) {
      CAPTURE(threads);
      const Threads limit(threads);
      check();
    }
  });
}

}  // namespace gradclip::test
